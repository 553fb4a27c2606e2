import { describe, expect, test } from "vitest";
import { parseBaseUrl } from "./parse-base-url.ts";

describe("parseBaseUrl", () => {
  test.each([
    ["http://127.0.0.1:8787", "http://127.0.0.1:8787"],
    ["http://127.0.0.1:8787/", "http://127.0.0.1:8787"],
    ["https://example.com/letta", "https://example.com/letta"],
    ["https://example.com/letta//", "https://example.com/letta"],
    ["https://example.com/a/../b/", "https://example.com/b"],
    ["HTTPS://EXAMPLE.com:443", "https://example.com"],
  ])("%s is %s", (text, expected) => {
    expect(parseBaseUrl(text)).toBe(expected);
  });

  test.each([
    "",
    "example.com",
    "/v1",
    "ftp://example.com",
    "javascript:alert(1)",
    "https://user:pw@example.com",
    "https://key@example.com",
    "https://example.com?x=1",
    "https://example.com/#x",
    "https://",
    "https://a b",
  ])("%j is refused without being repeated", (text) => {
    expect(() => parseBaseUrl(text)).toThrow(/^baseUrl must be an http\(s\) URL without user, query or fragment$/);
  });
});
