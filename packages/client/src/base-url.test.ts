import { describe, expect, test } from "vitest";
import { buildUrl, parseBaseUrl } from "./base-url.ts";

describe("parseBaseUrl", () => {
  test.each([
    ["http://127.0.0.1:8787", "http://127.0.0.1:8787", ""],
    ["http://127.0.0.1:8787/", "http://127.0.0.1:8787", ""],
    ["https://example.com/letta", "https://example.com", "/letta"],
    ["https://example.com/letta//", "https://example.com", "/letta"],
    ["https://example.com/a/../b/", "https://example.com", "/b"],
    ["HTTPS://EXAMPLE.com:443", "https://example.com", ""],
  ])("%s is %s with the path %j", (text, origin, basePath) => {
    expect(parseBaseUrl(text)).toEqual({ origin, basePath });
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
  ])("%j is refused without being repeated", (text) => {
    expect(() => parseBaseUrl(text)).toThrow(
      /^baseUrl must be an absolute http or https URL without user, query or fragment$/,
    );
  });
});

describe("buildUrl", () => {
  const base = parseBaseUrl("https://example.com/letta/");

  test("keeps the base path and writes spaces as %20", () => {
    expect(buildUrl(base, "/v1/environments", {})).toBe("https://example.com/letta/v1/environments");
    expect(buildUrl(base, "/v1/environments", { userId: "a b+c/d&e", limit: "5" })).toBe(
      "https://example.com/letta/v1/environments?userId=a%20b%2Bc%2Fd%26e&limit=5",
    );
  });

  test.each([
    "/v1/../admin",
    "/v1/%2e%2e/admin",
    "/v1?x=1",
    "/v1#x",
    "@evil.example/v1",
    ".evil.example/v1",
    ":81/v1",
    ":99999/v1",
    "/v1/a\\b",
  ])("%s cannot lead to another place", (path) => {
    const root = parseBaseUrl("https://example.com");
    expect(() => buildUrl(root, path, {})).toThrow("path must be a plain pathname");
    expect(() => buildUrl(base, path.replace(/^[@.:]/, "/../$&"), {})).toThrow("path must be a plain pathname");
  });
});
