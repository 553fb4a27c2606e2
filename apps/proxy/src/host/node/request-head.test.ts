import { expect, test } from "vitest";
import { requestsUpgrade, isServerOptions, refuseHead, type RequestHead } from "./request-head.ts";

function head(fields: readonly (readonly [string, string])[], version: "1.0" | "1.1" | "2.0" = "1.1"): RequestHead {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return { httpVersionMajor: major, httpVersionMinor: minor, rawHeaders: [["Host", "x"], ...fields].flat() };
}

const chunked = ["Transfer-Encoding", "chunked"] as const;
const length = ["Content-Length", "2"] as const;

test("a request head with one Host and no transfer encoding, or with chunked alone, is accepted", () => {
  const good = [[], [chunked], [["transfer-encoding", " Chunked "]], [length]] as const;
  expect(good.map((fields) => refuseHead(head(fields)))).toEqual([null, null, null, null]);
  expect(refuseHead(head([], "1.0"))).toBeNull();
});

test.each([
  "",
  " ",
  ", chunked",
  "chunked,",
  "chunked, chunked",
  "gzip, chunked",
  "identity",
  "chunked;q=1",
  "xchunked",
])("a transfer encoding other than chunked is 400: %j", (coding) => {
  expect(refuseHead(head([["Transfer-Encoding", coding]]))).toMatchObject({ status: 400 });
});

test.each([
  ["two transfer encodings", head([chunked, chunked]), 400],
  ["a transfer encoding of HTTP/1.0", head([chunked], "1.0"), 400],
  ["a second Content-Length, even an equal one", head([length, length]), 400],
  ["a second Host", head([["hOST", "y"]]), 400],
  ["an unsupported major version", head([], "2.0"), 400],
  ["more than 100 fields", head(Array.from({ length: 100 }, () => ["X", "y"] as const)), 431],
])("%s is refused", (_what, given, status) => {
  expect(refuseHead(given)).toMatchObject({ status });
});

test("an HTTP/1.1 request without Host is refused, and an HTTP/1.0 request without it is accepted", () => {
  const [lacking, old] = [head([]), head([], "1.0")].map((given) => ({ ...given, rawHeaders: ["Accept", "*/*"] }));
  expect(lacking && refuseHead(lacking)).toMatchObject({ status: 400 });
  expect(old && refuseHead(old)).toBeNull();
});

test("100 fields are accepted", () => {
  expect(refuseHead(head(Array.from({ length: 99 }, () => ["X", "y"] as const)))).toBeNull();
});

test("only OPTIONS * targets the whole server", () => {
  expect(isServerOptions({ method: "OPTIONS", url: "*" })).toBe(true);
  expect(isServerOptions({ method: "OPTIONS", url: "/*" })).toBe(false);
  expect(isServerOptions({ method: "GET", url: "*" })).toBe(false);
});

test("a request is an upgrade if it has Upgrade and lists it in Connection", () => {
  expect(requestsUpgrade({ rawHeaders: ["Upgrade", "h2c", "Connection", "keep-alive, Upgrade"] })).toBe(true);
  expect(requestsUpgrade({ rawHeaders: ["Upgrade", "h2c"] })).toBe(false);
  expect(requestsUpgrade({ rawHeaders: ["Connection", "upgrade"] })).toBe(false);
});
