import { describe, expect, test } from "vitest";
import { type RecognisedRequest, recognise } from "./grammar.ts";

const plain =
  "GET /v1/environments?limit=2 HTTP/1.1\r\nHost: a.example:8080\r\nAccept: */*\r\nX-A: b c\r\nx-a: d\r\n\r\n";

/** The fields as the gateway reads them. */
function fieldsOf(recognised: RecognisedRequest | null): Readonly<Record<string, string>> | null {
  return recognised && Object.fromEntries(recognised.fields.values);
}

test("a plain read is recognised with its fields, wherever it stands in a text", () => {
  const recognised = recognise(`before${plain}behind`, 6, null);
  expect(recognised).toMatchObject({ method: "GET", target: "/v1/environments?limit=2", end: 6 + plain.length });
  expect(fieldsOf(recognised)).toEqual({ host: "a.example:8080", accept: "*/*", "x-a": "b c, d" });
});

test("the same fields are taken from the latest request only if every byte of them is the same", () => {
  const known = recognise(plain, 0, null)?.fields ?? null;
  expect(recognise(plain.replace("GET", "HEAD"), 0, known)).toMatchObject({ method: "HEAD", fields: known });
  for (const [from, to] of [
    ["b c", "b d"],
    ["*/*", "*/*, x"],
    ["x-a: d\r\n", ""],
    ["Accept", "Accepu"],
  ] as const) {
    const changed = plain.replace(from, to);
    expect(fieldsOf(recognise(changed, 0, known))).toEqual(fieldsOf(recognise(changed, 0, null)));
    expect(recognise(changed, 0, known)?.fields).not.toBe(known);
  }
});

describe("what a server could read in another way, or refuses, is not recognised", () => {
  const fields = (...lines: readonly string[]): string => ["GET /v1/x HTTP/1.1", ...lines, "", ""].join("\r\n");

  test.each([
    "Content-Length: 0",
    "Transfer-Encoding: chunked",
    "Upgrade: websocket",
    "Expect: 100-continue",
    "TE: trailers",
    "Trailer: a",
    "HTTP2-Settings: AAA",
    "Proxy-Connection: keep-alive",
    "Proxy-Authorization: x",
    "Keep-Alive: timeout=1",
    "Connection: close",
    "Connection: keep-alive, close",
    "Connection: upgrade",
    "CONNECTION: TE",
    "Host: b",
    "host: a",
    "X-A:",
    "X-A: ",
    "X-A:b",
    "X-A:  b",
    "X-A: b ",
    "X-A: b  c",
    "X-A:\tb",
    "X-A: b\tc",
    "X-A : b",
    " X-A: b",
    "X-A",
    ": b",
    "X(A: b",
    "X-A: \xe9",
    "X-A: b\0c",
    "X-A: b\x7f",
    "X-A: b\rc",
    "X-A: b\nc",
    "X-A: b\r\n c",
    `X-A: ${"x".repeat(9_000)}`,
  ])("the field %j", (line) => {
    // prettier-ignore
    expect(recognise(fields("Host: a", "Accept: x"), 0, null)).not.toBeNull();
    expect(recognise(fields("Host: a", line), 0, null)).toBeNull();
  });

  test.each([[], ["Host:"], ["Host: "], ["Host: A"], ["Host: a/b"], ["Host: [::1]"], ["Host: a:80"], ["Host: a@b"]])(
    "the Host in %j",
    (...lines) => expect(recognise(fields(...lines, "Accept: x"), 0, null)).toBeNull(),
  );

  test("more than 100 fields", () => {
    const lines = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `x-${index}: y`);
    expect(recognise(fields("Host: a", ...lines(99)), 0, null)).not.toBeNull();
    expect(recognise(fields("Host: a", ...lines(100)), 0, null)).toBeNull();
  });

  test.each([
    "POST /v1/x HTTP/1.1",
    "get /v1/x HTTP/1.1",
    "GET  /v1/x HTTP/1.1",
    "GET /v1/x  HTTP/1.1",
    "GET /v1/x HTTP/1.0",
    "GET /v1/x HTTP/2.0",
    "GET /v1/x http/1.1",
    "GET /v1/x HTTP/1.1 ",
    "GET /v1/x",
    "GET /livez HTTP/1.1",
    "GET /v1 HTTP/1.1",
    "GET http://a/v1/x HTTP/1.1",
    "GET //v1/x HTTP/1.1",
    "GET /v1/a#b HTTP/1.1",
    "GET /v1/a\\b HTTP/1.1",
    "GET /v1/\xe9 HTTP/1.1",
    "GET /v1/a|b HTTP/1.1",
    "GET /v1/a\tb HTTP/1.1",
    " GET /v1/x HTTP/1.1",
    "\r\nGET /v1/x HTTP/1.1",
  ])("the request line %j", (line) => {
    // prettier-ignore
    expect(recognise(`${line}\r\nHost: a\r\n\r\n`, 0, null)).toBeNull();
  });

  test("every incomplete request, and lines without CR", () => {
    const known = recognise(plain, 0, null)?.fields ?? null;
    for (let length = 0; length < plain.length; length++)
      expect(recognise(plain.slice(0, length), 0, known)).toBeNull();
    expect(recognise(plain.replaceAll("\r\n", "\n"), 0, null)).toBeNull();
    expect(recognise(plain.replace("*/*\r\n", "*/*\n"), 0, null)).toBeNull();
  });
});
