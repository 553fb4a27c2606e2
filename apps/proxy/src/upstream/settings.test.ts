import { expect, test } from "vitest";
import { parseUpstreamBaseUrl, upstreamTarget } from "./settings.ts";

test.each([
  ["https://api.example", "https://api.example", ""],
  ["https://api.example/", "https://api.example", ""],
  ["https://api.example:8443/a/b//", "https://api.example:8443", "/a/b"],
  ["http://localhost:1234", "http://localhost:1234", ""],
  ["http://127.0.0.1", "http://127.0.0.1", ""],
  ["http://[::1]:80/x", "http://[::1]", "/x"],
])("%s is a valid upstream URL", (text, origin, basePath) => {
  expect(parseUpstreamBaseUrl(text, false)).toEqual({ ok: true, value: { origin, basePath } });
});

test.each([
  "",
  "api.example",
  "ftp://api.example",
  "file:///etc",
  "https://user@api.example",
  "https://user:password@api.example",
  "https://api.example/?a=b",
  "https://api.example/#x",
  "http://api.example",
  "http://10.0.0.1",
  "http://127.0.0.1.evil.example",
  "http://localhost.evil.example",
])("%j is not a valid upstream URL", (text) => {
  expect(parseUpstreamBaseUrl(text, false)).toMatchObject({ ok: false, rule: expect.stringMatching(/^must/) });
});

test("an http: URL of a host other than loopback must be allowed explicitly", () => {
  expect(parseUpstreamBaseUrl("http://10.0.0.1", true)).toMatchObject({ ok: true });
});

test("the request target at an upstream starts with the base path and ends with the query", () => {
  const base = { origin: "https://api.example", basePath: "/base" };
  expect(upstreamTarget(base, "/v1/environments", "")).toBe("/base/v1/environments");
  expect(upstreamTarget(base, "/v1/environments", "a=b")).toBe("/base/v1/environments?a=b");
});
