/** Malformed and malicious requests, byte by byte, and the response of the gateway to each on every runtime. */

/** The expected response to a request. */
export interface HostileAnswer {
  /** The permitted statuses; `closed`: the connection closes without a response. */
  readonly status: readonly (number | "closed")[];
  /** Whether the response is a problem (RFC 9457) with a request id. A request that the runtime itself refuses may get none. */
  readonly isProblem: boolean;
  /** Whether what follows it gets a response, too. Absent: no. */
  readonly isFollowed?: boolean;
}

/** A hostile request. */
export interface HostileRequest {
  readonly name: string;
  /** Returns the bytes for the socket, in Latin-1. `key` has the scopes list, read and send. */
  readonly bytes: (key: string) => string;
  readonly answer: HostileAnswer;
}

const problem = (...status: number[]): HostileAnswer => ({ status, isProblem: true });

/** A complete request with `Connection: close`. */
function request(line: string, lines: readonly string[] = [], body: string = ""): string {
  return [line, "Host: gateway.example", "Connection: close", ...lines, "", body].join("\r\n");
}

/** A GET of a target with a valid key. */
function read(target: string): (key: string) => string {
  return (key) => request(`GET ${target} HTTP/1.1`, [`Authorization: Bearer ${key}`]);
}

/** A POST with a valid key and the framing headers of `lines`. */
function post(lines: readonly string[], body: string): (key: string) => string {
  return (key) =>
    request("POST /v1/environments/conn-1/messages HTTP/1.1", [`Authorization: Bearer ${key}`, ...lines], body);
}

const ok: HostileAnswer = { status: [200], isProblem: false };

/** Paths: none is normalised, decoded twice, or treated as another path. */
const paths: readonly HostileRequest[] = [
  { name: "path: dot segments", bytes: read("/v1/../livez"), answer: problem(404) },
  { name: "path: encoded dot segments", bytes: read("/v1/%2e%2e/livez"), answer: problem(404) },
  { name: "path: dot segments as an id", bytes: read("/v1/environments/.."), answer: problem(400) },
  { name: "path: encoded dot segments as an id", bytes: read("/v1/environments/%2E%2e"), answer: problem(400) },
  { name: "path: double-encoded dot segments", bytes: read("/v1/environments/%252e%252e"), answer: problem(400) },
  { name: "path: dot segments that cancel out", bytes: read("/v1/x/../environments"), answer: problem(404) },
  {
    name: "path: a reference with encoded slashes and dot segments",
    bytes: read("/v1/environments/conn-1/messages/..%2f..%2flivez"),
    answer: problem(404),
  },
  {
    name: "path: a malformed reference",
    bytes: read("/v1/environments/conn-1/messages/%ff"),
    answer: problem(400, 404),
  },
  { name: "path: a leading double slash", bytes: read("//v1/environments"), answer: problem(404) },
  { name: "path: a double slash inside", bytes: read("/v1//environments"), answer: problem(404) },
  { name: "path: a trailing slash", bytes: read("/v1/environments/"), answer: problem(404) },
  { name: "path: an encoded slash", bytes: read("/v1/environments/a%2f..%2fagents"), answer: problem(400) },
  { name: "path: a path parameter", bytes: read("/v1/environments;x=1"), answer: problem(404) },
  { name: "path: a path parameter in an id", bytes: read("/v1/environments/device-1;x"), answer: problem(400) },
  { name: "path: a backslash", bytes: read("/v1\\environments"), answer: problem(400, 404) },
  { name: "path: an encoded backslash", bytes: read("/v1/environments/..%5Cagents"), answer: problem(400) },
  { name: "path: an encoded NUL", bytes: read("/v1/environments/a%00b"), answer: problem(400) },
  { name: "path: a NUL", bytes: read("/v1/environments/a\0b"), answer: problem(400) },
  { name: "path: encoded line breaks", bytes: read("/v1/environments/a%0d%0aX:1"), answer: problem(400) },
  { name: "path: overlong UTF-8", bytes: read("/v1/environments/%c0%ae%c0%ae"), answer: problem(400) },
  { name: "path: a byte outside ASCII", bytes: read("/v1/environments/\xe9"), answer: problem(400) },
  { name: "path: a malformed percent-encoding", bytes: read("/v1/environments/%zz"), answer: problem(400) },
  { name: "path: a fragment", bytes: read("/v1/environments/device-1#x"), answer: problem(400) },
  { name: "path: an id that is too long", bytes: read(`/v1/environments/${"a".repeat(129)}`), answer: problem(400) },
  { name: "path: a different letter case", bytes: read("/V1/environments"), answer: problem(404) },
  { name: "path: absolute form, another host", bytes: read("http://evil.example/v1/environments"), answer: ok },
  { name: "path: absolute form, dot segments", bytes: read("http://evil.example/v1/../livez"), answer: problem(404) },
  {
    name: "path: absolute form, another scheme",
    bytes: read("ftp://evil.example/v1/environments"),
    answer: problem(400, 404),
  },
  {
    name: "path: asterisk form, OPTIONS",
    bytes: () => request("OPTIONS * HTTP/1.1"),
    answer: { status: [204], isProblem: false },
  },
  { name: "path: asterisk form, GET", bytes: read("*"), answer: problem(400) },
];

/** Methods and versions. */
const lines: readonly HostileRequest[] = [
  {
    name: "method: lower case",
    bytes: (key) => request("get /v1/environments HTTP/1.1", [`Authorization: Bearer ${key}`]),
    answer: problem(405),
  },
  {
    name: "method: unknown",
    bytes: (key) => request("FOO /v1/environments HTTP/1.1", [`Authorization: Bearer ${key}`]),
    answer: problem(405),
  },
  {
    name: "method: unknown, at an unknown path",
    bytes: () => request("FOO /nothing HTTP/1.1"),
    answer: problem(404),
  },
  { name: "method: TRACE", bytes: () => request("TRACE /v1/environments HTTP/1.1"), answer: problem(405) },
  {
    name: "method: CONNECT",
    bytes: () => "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    answer: problem(405),
  },
  { name: "a request line that is not HTTP", bytes: () => "hello\r\n\r\n", answer: problem(400) },
  {
    name: "lines that end without CR",
    bytes: () => "GET /v1/environments HTTP/1.1\nHost: x\nConnection: close\n\n",
    answer: problem(400),
  },
  { name: "an unsupported major version", bytes: () => request("GET /livez HTTP/2.0"), answer: problem(400) },
  { name: "an unknown minor version", bytes: () => request("GET /livez HTTP/1.2"), answer: problem(400) },
  {
    name: "another protocol in the request line",
    bytes: (key) => request("GET /v1/environments RTSP/1.1", [`Authorization: Bearer ${key}`]),
    answer: problem(400),
  },
  {
    name: "bytes that are not HTTP after a request, in one packet",
    bytes: () => "GET /nothing HTTP/1.1\r\nHost: gateway.example\r\n\r\n\0",
    answer: problem(404),
  },
  { name: "a request line without a version", bytes: () => "GET /livez\r\n\r\n", answer: problem(400) },
  { name: "two spaces in the request line", bytes: () => request("GET  /livez HTTP/1.1"), answer: ok },
];

/** Fields of a total size: `count` lines of `bytes` bytes each. */
function manyFields(count: number, bytes: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `X-${index}: `.padEnd(bytes - 2, "x"));
}

/** Header fields that are repeated, malformed, missing or too many. */
const headers: readonly HostileRequest[] = [
  {
    name: "two Authorization fields, the first valid",
    bytes: (key) =>
      request("GET /v1/environments HTTP/1.1", [`Authorization: Bearer ${key}`, "Authorization: Bearer x"]),
    answer: problem(401),
  },
  {
    name: "two Authorization fields, the second valid",
    bytes: (key) =>
      request("GET /v1/environments HTTP/1.1", ["Authorization: Bearer x", `Authorization: Bearer ${key}`]),
    answer: problem(401),
  },
  {
    name: "two Host fields",
    bytes: (key) => request("GET /v1/environments HTTP/1.1", ["Host: evil.example", `Authorization: Bearer ${key}`]),
    answer: problem(400),
  },
  {
    name: "no Host field",
    bytes: (key) => `GET /v1/environments HTTP/1.1\r\nConnection: close\r\nAuthorization: Bearer ${key}\r\n\r\n`,
    answer: problem(400),
  },
  {
    name: "a health check in HTTP/1.0 without Host",
    bytes: () => "GET /livez HTTP/1.0\r\n\r\n",
    answer: ok,
  },
  {
    name: "a readiness check in HTTP/1.0 without Host",
    bytes: () => "GET /readyz HTTP/1.0\r\n\r\n",
    answer: ok,
  },
  {
    name: "a Host with a path",
    bytes: (key) =>
      `GET /v1/environments HTTP/1.1\r\nHost: x/../y\r\nConnection: close\r\nAuthorization: Bearer ${key}\r\n\r\n`,
    answer: problem(400),
  },
  {
    name: "a field with obsolete line folding",
    bytes: (key) => request("GET /v1/environments HTTP/1.1", [`Authorization: Bearer ${key}`, "X-A: 1", " 2"]),
    answer: problem(400),
  },
  {
    name: "a space between a field name and its colon",
    bytes: (key) => request("GET /v1/environments HTTP/1.1", [`Authorization : Bearer ${key}`]),
    answer: problem(400),
  },
  {
    name: "a NUL in a field",
    bytes: (key) => request("GET /v1/environments HTTP/1.1", [`Authorization: Bearer ${key}`, "X-A: a\0b"]),
    answer: problem(400),
  },
  {
    name: "a header field over 16 KiB",
    bytes: (key) => request("GET /livez HTTP/1.1", [`Authorization: Bearer ${key}`, `X-A: ${"x".repeat(20_000)}`]),
    answer: problem(431),
  },
  { name: "a target over 16 KiB", bytes: read(`/v1/environments?x=${"x".repeat(20_000)}`), answer: problem(414) },
  {
    name: "header fields of 18 KiB in total",
    bytes: () => request("GET /livez HTTP/1.1", manyFields(36, 512)),
    answer: problem(431),
  },
  {
    name: "more than 100 header fields",
    bytes: () => request("GET /livez HTTP/1.1", manyFields(101, 10)),
    answer: problem(431),
  },
  {
    name: "a request after an upgrade to another protocol",
    bytes: () =>
      `GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n${request("GET /livez HTTP/1.1")}`,
    answer: ok,
  },
  {
    name: "an upgrade in HTTP/1.0",
    bytes: () => "GET /livez HTTP/1.0\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    answer: ok,
  },
  {
    name: "an unknown expectation",
    bytes: () => request("GET /livez HTTP/1.1", ["Expect: foo"]),
    answer: problem(417),
  },
];

const body = "0\r\n\r\n";

/** A complete send as one chunk, with some text after its size. */
function chunked(afterSize: string): (key: string) => string {
  const text = JSON.stringify({
    agentId: "agent-1",
    messages: [{ role: "user", content: "Hello", client_message_id: "chunked-1" }],
  });
  const size = text.length.toString(16);
  return post([json, "Transfer-Encoding: chunked"], `${size}${afterSize}\r\n${text}\r\n${body}`);
}

const json = "Content-Type: application/json";

/** A send with these fields and its own message. */
function keyed(id: string, lines: readonly string[]): (key: string) => string {
  const messages = [{ role: "user", content: "Hello", client_message_id: id }];
  const text = JSON.stringify({ agentId: "agent-1", messages });
  return post([json, `Content-Length: ${text.length}`, ...lines], text);
}

/** Idempotency keys. The gateway sees repeated fields as one comma-separated value. */
const idempotencyKeys: readonly HostileRequest[] = [
  {
    name: "two Idempotency-Key fields",
    bytes: keyed("keyed-1", ["Idempotency-Key: a", "Idempotency-Key: a"]),
    answer: problem(400),
  },
  { name: "an empty Idempotency-Key", bytes: keyed("keyed-2", ["Idempotency-Key:"]), answer: problem(400) },
  {
    name: "an Idempotency-Key with a character outside ASCII",
    bytes: keyed("keyed-3", ["Idempotency-Key: \xfc"]),
    answer: problem(400),
  },
  {
    name: "an Idempotency-Key of 257 characters",
    bytes: keyed("keyed-4", [`Idempotency-Key: ${"k".repeat(257)}`]),
    answer: problem(400),
  },
  {
    name: "an Idempotency-Key of 256 characters",
    bytes: keyed("keyed-5", [`Idempotency-Key: ${"k".repeat(256)}`]),
    answer: ok,
  },
  {
    name: "two Idempotency-Key fields in a read",
    bytes: (key) =>
      request("GET /v1/environments HTTP/1.1", [
        `Authorization: Bearer ${key}`,
        "Idempotency-Key: a",
        "Idempotency-Key:",
      ]),
    answer: ok,
  },
];

/**
 * A send that is valid except for its framing, and a request after it: if a runtime accepts the framing, the message is delivered, and the second
 * request gets a response if the connection stays open.
 */
function framed(
  name: string,
  framingOf: (length: number) => readonly string[],
  form: "plain" | "chunked" = "plain",
): HostileRequest {
  const messages = [{ role: "user", content: "Hello", client_message_id: name.replaceAll(" ", "-") }];
  const text = JSON.stringify({ agentId: "agent-1", messages });
  const bytes = form === "plain" ? text : `${text.length.toString(16)}\r\n${text}\r\n${body}`;
  const lines = ["POST /v1/environments/conn-1/messages HTTP/1.1", "Host: gateway.example", json];
  return {
    name,
    bytes: (key) =>
      [...lines, `Authorization: Bearer ${key}`, ...framingOf(text.length), "", `${bytes}${behind}`].join("\r\n"),
    answer: problem(400),
  };
}

const behind = request("GET /livez HTTP/1.1");

/** Bodies with two lengths or two kinds of framing: the methods of request smuggling (RFC 9112 section 11.2). */
const framing: readonly HostileRequest[] = [
  {
    ...framed("one Content-Length and a pipelined request", (length) => [`Content-Length: ${length}`]),
    answer: { ...ok, isFollowed: true },
  },
  framed("two different Content-Length fields", (length) => [`Content-Length: ${length}`, "Content-Length: 1"]),
  framed("two equal Content-Length fields", (length) => [`Content-Length: ${length}`, `Content-Length: ${length}`]),
  framed("Content-Length before chunked", () => ["Content-Length: 5", "Transfer-Encoding: chunked"], "chunked"),
  framed("chunked before Content-Length", () => ["Transfer-Encoding: chunked", "Content-Length: 5"], "chunked"),
  framed("a Content-Length with a sign", (length) => [`Content-Length: +${length}`]),
  framed("an unknown transfer encoding", () => ["Transfer-Encoding: xchunked"], "chunked"),
  framed("chunked after another transfer encoding", () => ["Transfer-Encoding: gzip, chunked"], "chunked"),
  framed("an empty Content-Length", () => ["Content-Length:"]),
  framed("a Content-Length list", (length) => [`Content-Length: ${length}, ${length}`]),
  framed("a hexadecimal Content-Length", (length) => [`Content-Length: 0x${length.toString(16)}`]),
  framed("an empty Transfer-Encoding", () => ["Transfer-Encoding:"]),
  {
    name: "an empty Transfer-Encoding in a read",
    bytes: () => `GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n\r\n${behind}`,
    answer: problem(400),
  },
  framed("an empty Transfer-Encoding and a length", (length) => ["Transfer-Encoding:", `Content-Length: ${length}`]),
  framed("an empty list element before chunked", () => ["Transfer-Encoding: , chunked"], "chunked"),
  framed("chunked with a parameter", () => ["Transfer-Encoding: chunked;q=1"], "chunked"),
  framed("chunked in two fields", () => ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], "chunked"),
  framed("the obsolete transfer encoding identity", () => ["Transfer-Encoding: identity"]),
  inOldVersion(framed("Transfer-Encoding in HTTP/1.0", () => ["Transfer-Encoding: chunked"], "chunked")),
];

function inOldVersion(given: HostileRequest): HostileRequest {
  return { ...given, bytes: (key) => given.bytes(key).replace("HTTP/1.1", "HTTP/1.0") };
}

/** Chunks (RFC 9112 section 7.1). Only the parser of a runtime sees them. */
const chunks: readonly HostileRequest[] = [
  { name: "an invalid chunk size", bytes: post(["Transfer-Encoding: chunked"], "zz\r\n\r\n"), answer: problem(400) },
  {
    name: "a signed chunk size",
    bytes: post(["Transfer-Encoding: chunked"], "-1\r\n\r\n"),
    answer: problem(400),
  },
  { name: "a chunk size over 64 bits", bytes: chunkOf("FFFFFFFFFFFFFFFFF", 0), answer: problem(400) },
  // A receiver must be able to stop such a body at its limit, however long it claims to be.
  { name: "a chunk size of 64 bits", bytes: chunkOf("FFFFFFFFFFFFFFFF", 1_050_000), answer: problem(413) },
  {
    name: "a chunk longer than its size",
    bytes: post([json, "Transfer-Encoding: chunked"], "2\r\n{}x\r\n0\r\n\r\n"),
    answer: problem(400),
  },
  { name: "a valid chunk extension", bytes: chunked(";name=value"), answer: ok },
  { name: "a chunk extension without a name", bytes: chunked(";"), answer: problem(400) },
  { name: "a chunk extension that is not a token", bytes: chunked(";["), answer: problem(400) },
  { name: "a line feed in a chunk extension", bytes: chunked(";a\nb"), answer: problem(400) },
  { name: "a chunk extension over 16 KiB", bytes: chunked(`;a=${"x".repeat(20_000)}`), answer: problem(400) },
];

/** The start of a body: a chunk of a length, of which only some bytes follow. */
function chunkOf(length: string, bytes: number): (key: string) => string {
  return post([json, "Transfer-Encoding: chunked"], `${length}\r\n${"x".repeat(bytes)}`);
}

/** Every hostile request. */
export const hostileRequests: readonly HostileRequest[] = [
  ...paths,
  ...lines,
  ...headers,
  ...framing,
  ...idempotencyKeys,
  ...chunks,
];

/** Requests that never end, for runtimes on which the gateway itself listens; a platform in front of a Worker has its own timeouts. */
export const endlessRequests: readonly HostileRequest[] = [
  { name: "a header section that never ends", bytes: () => "GET /livez HTTP/1.1\r\nHost: x\r\n", answer: problem(408) },
  { name: "a connection without any data", bytes: () => "", answer: problem(408) },
];
