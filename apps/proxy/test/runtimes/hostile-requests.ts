/** Malformed and malicious requests, byte by byte, and the response of the gateway to each on every runtime. */

/** The expected response to a request. */
export interface HostileAnswer {
  /** The permitted statuses; `closed`: the connection closes without a response. */
  readonly status: readonly (number | "closed")[];
  /** Whether the response is a problem (RFC 9457) with a request id. A request that the runtime itself refuses may get none. */
  readonly isProblem: boolean;
  /** Whether a request behind it on the connection gets a response, too. Absent: no. */
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

/** A whole request with `Connection: close`. */
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

/** Paths: none is resolved, decoded twice, or treated as another path. */
const paths: readonly HostileRequest[] = [
  { name: "path: dot segments", bytes: read("/v1/../livez"), answer: problem(404) },
  { name: "path: encoded dot segments", bytes: read("/v1/%2e%2e/livez"), answer: problem(404) },
  { name: "path: dot segments as an id", bytes: read("/v1/environments/.."), answer: problem(400) },
  { name: "path: encoded dot segments as an id", bytes: read("/v1/environments/%2E%2e"), answer: problem(400) },
  { name: "path: dots encoded twice", bytes: read("/v1/environments/%252e%252e"), answer: problem(400) },
  { name: "path: dot segments that lead back", bytes: read("/v1/x/../environments"), answer: problem(404) },
  {
    name: "path: a reference with an encoded slash and dot segments",
    bytes: read("/v1/environments/conn-1/messages/..%2f..%2flivez"),
    answer: problem(404),
  },
  {
    name: "path: a malformed reference",
    bytes: read("/v1/environments/conn-1/messages/%ff"),
    answer: problem(400, 404),
  },
  { name: "path: a doubled slash", bytes: read("//v1/environments"), answer: problem(404) },
  { name: "path: a doubled slash inside", bytes: read("/v1//environments"), answer: problem(404) },
  { name: "path: a slash at the end", bytes: read("/v1/environments/"), answer: problem(404) },
  { name: "path: an encoded slash", bytes: read("/v1/environments/a%2f..%2fagents"), answer: problem(400) },
  { name: "path: a path parameter", bytes: read("/v1/environments;x=1"), answer: problem(404) },
  { name: "path: a path parameter in an id", bytes: read("/v1/environments/device-1;x"), answer: problem(400) },
  { name: "path: a backslash", bytes: read("/v1\\environments"), answer: problem(400, 404) },
  { name: "path: an encoded backslash", bytes: read("/v1/environments/..%5Cagents"), answer: problem(400) },
  { name: "path: an encoded NUL", bytes: read("/v1/environments/a%00b"), answer: problem(400) },
  { name: "path: a NUL", bytes: read("/v1/environments/a\0b"), answer: problem(400) },
  { name: "path: encoded line breaks", bytes: read("/v1/environments/a%0d%0aX:1"), answer: problem(400) },
  { name: "path: overlong UTF-8", bytes: read("/v1/environments/%c0%ae%c0%ae"), answer: problem(400) },
  { name: "path: bytes over 127", bytes: read("/v1/environments/\xe9"), answer: problem(400) },
  { name: "path: a broken escape", bytes: read("/v1/environments/%zz"), answer: problem(400) },
  { name: "path: a fragment", bytes: read("/v1/environments/device-1#x"), answer: problem(400) },
  { name: "path: an id over its length", bytes: read(`/v1/environments/${"a".repeat(129)}`), answer: problem(400) },
  { name: "path: another letter case", bytes: read("/V1/environments"), answer: problem(404) },
  { name: "path: absolute, with another host", bytes: read("http://evil.example/v1/environments"), answer: ok },
  { name: "path: absolute, with dot segments", bytes: read("http://evil.example/v1/../livez"), answer: problem(404) },
  {
    name: "path: absolute, of another scheme",
    bytes: read("ftp://evil.example/v1/environments"),
    answer: problem(400, 404),
  },
  {
    name: "path: an asterisk",
    bytes: () => request("OPTIONS * HTTP/1.1"),
    answer: { status: [204], isProblem: false },
  },
  { name: "path: an asterisk for a read", bytes: read("*"), answer: problem(400) },
];

/** Methods and versions. */
const lines: readonly HostileRequest[] = [
  {
    name: "method: in lower case",
    bytes: (key) => request("get /v1/environments HTTP/1.1", [`Authorization: Bearer ${key}`]),
    answer: problem(405),
  },
  {
    name: "method: one that nobody knows",
    bytes: (key) => request("FOO /v1/environments HTTP/1.1", [`Authorization: Bearer ${key}`]),
    answer: problem(405),
  },
  {
    name: "method: one that nobody knows, where nothing is",
    bytes: () => request("FOO /nothing HTTP/1.1"),
    answer: problem(404),
  },
  { name: "method: TRACE", bytes: () => request("TRACE /v1/environments HTTP/1.1"), answer: problem(405) },
  {
    name: "method: a tunnel",
    bytes: () => "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    answer: problem(405),
  },
  { name: "no HTTP at all", bytes: () => "hello\r\n\r\n", answer: problem(400) },
  {
    name: "lines without CR",
    bytes: () => "GET /v1/environments HTTP/1.1\nHost: x\nConnection: close\n\n",
    answer: problem(400),
  },
  { name: "another major version", bytes: () => request("GET /livez HTTP/2.0"), answer: problem(400) },
  { name: "a version that nobody knows", bytes: () => request("GET /livez HTTP/1.2"), answer: problem(400) },
  {
    name: "another protocol",
    bytes: (key) => request("GET /v1/environments RTSP/1.1", [`Authorization: Bearer ${key}`]),
    answer: problem(400),
  },
  { name: "no version", bytes: () => "GET /livez\r\n\r\n", answer: problem(400) },
  { name: "two spaces in the request line", bytes: () => request("GET  /livez HTTP/1.1"), answer: ok },
];

/** Fields of a total size: `count` lines of `bytes` bytes each. */
function manyFields(count: number, bytes: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `X-${index}: `.padEnd(bytes - 2, "x"));
}

/** Header fields that stand twice, are none, or are too many. */
const headers: readonly HostileRequest[] = [
  {
    name: "Authorization twice, the first one good",
    bytes: (key) =>
      request("GET /v1/environments HTTP/1.1", [`Authorization: Bearer ${key}`, "Authorization: Bearer x"]),
    answer: problem(401),
  },
  {
    name: "Authorization twice, the second one good",
    bytes: (key) =>
      request("GET /v1/environments HTTP/1.1", ["Authorization: Bearer x", `Authorization: Bearer ${key}`]),
    answer: problem(401),
  },
  {
    name: "Host twice",
    bytes: (key) => request("GET /v1/environments HTTP/1.1", ["Host: evil.example", `Authorization: Bearer ${key}`]),
    answer: problem(400),
  },
  {
    name: "no Host",
    bytes: (key) => `GET /v1/environments HTTP/1.1\r\nConnection: close\r\nAuthorization: Bearer ${key}\r\n\r\n`,
    answer: problem(400),
  },
  {
    name: "a health check in HTTP/1.0 without Host",
    bytes: () => "GET /livez HTTP/1.0\r\n\r\n",
    answer: ok,
  },
  {
    name: "a check of readiness in HTTP/1.0 without Host",
    bytes: () => "GET /readyz HTTP/1.0\r\n\r\n",
    answer: ok,
  },
  {
    name: "a Host that is a path",
    bytes: (key) =>
      `GET /v1/environments HTTP/1.1\r\nHost: x/../y\r\nConnection: close\r\nAuthorization: Bearer ${key}\r\n\r\n`,
    answer: problem(400),
  },
  {
    name: "a folded field",
    bytes: (key) => request("GET /v1/environments HTTP/1.1", [`Authorization: Bearer ${key}`, "X-A: 1", " 2"]),
    answer: problem(400),
  },
  {
    name: "a space before the colon",
    bytes: (key) => request("GET /v1/environments HTTP/1.1", [`Authorization : Bearer ${key}`]),
    answer: problem(400),
  },
  {
    name: "a NUL in a field",
    bytes: (key) => request("GET /v1/environments HTTP/1.1", [`Authorization: Bearer ${key}`, "X-A: a\0b"]),
    answer: problem(400),
  },
  {
    name: "a field over 16 KiB",
    bytes: (key) => request("GET /livez HTTP/1.1", [`Authorization: Bearer ${key}`, `X-A: ${"x".repeat(20_000)}`]),
    answer: problem(431),
  },
  { name: "a target over 16 KiB", bytes: read(`/v1/environments?x=${"x".repeat(20_000)}`), answer: problem(414) },
  {
    name: "fields of 18 KiB together",
    bytes: () => request("GET /livez HTTP/1.1", manyFields(36, 512)),
    answer: problem(431),
  },
  {
    name: "more than 100 fields",
    bytes: () => request("GET /livez HTTP/1.1", manyFields(101, 10)),
    answer: problem(431),
  },
  {
    name: "a request behind an upgrade to another protocol",
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
    name: "an expectation that nobody knows",
    bytes: () => request("GET /livez HTTP/1.1", ["Expect: foo"]),
    answer: problem(417),
  },
];

const body = "0\r\n\r\n";

/** A whole send as one chunk, with what follows its size. */
function chunked(afterSize: string): (key: string) => string {
  const text = JSON.stringify({
    agentId: "agent-1",
    messages: [{ role: "user", content: "Hello", client_message_id: "chunked-1" }],
  });
  const size = text.length.toString(16);
  return post([json, "Transfer-Encoding: chunked"], `${size}${afterSize}\r\n${text}\r\n${body}`);
}

const json = "Content-Type: application/json";

/** A send with these fields and a message of its own. */
function keyed(id: string, lines: readonly string[]): (key: string) => string {
  const messages = [{ role: "user", content: "Hello", client_message_id: id }];
  const text = JSON.stringify({ agentId: "agent-1", messages });
  return post([json, `Content-Length: ${text.length}`, ...lines], text);
}

/** Keys of sends. Several fields are one value with commas by the time the gateway sees them. */
const idempotencyKeys: readonly HostileRequest[] = [
  {
    name: "an Idempotency-Key, sent twice",
    bytes: keyed("keyed-1", ["Idempotency-Key: a", "Idempotency-Key: a"]),
    answer: problem(400),
  },
  { name: "an Idempotency-Key without a value", bytes: keyed("keyed-2", ["Idempotency-Key:"]), answer: problem(400) },
  {
    name: "an Idempotency-Key beyond ASCII",
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
    name: "an Idempotency-Key of a read, sent twice",
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
 * A send that is good but for its framing, and a request behind it: where a runtime accepts the framing, the message is delivered, and the second
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

/** A body with two lengths, or with two kinds of length: the methods of request smuggling (RFC 9112 section 11.2). */
const framing: readonly HostileRequest[] = [
  {
    ...framed("one length, and a request behind the body", (length) => [`Content-Length: ${length}`]),
    answer: { ...ok, isFollowed: true },
  },
  framed("two lengths", (length) => [`Content-Length: ${length}`, "Content-Length: 1"]),
  framed("the same length twice", (length) => [`Content-Length: ${length}`, `Content-Length: ${length}`]),
  framed("a length and chunks", () => ["Content-Length: 5", "Transfer-Encoding: chunked"], "chunked"),
  framed("chunks and a length", () => ["Transfer-Encoding: chunked", "Content-Length: 5"], "chunked"),
  framed("a length with a sign", (length) => [`Content-Length: +${length}`]),
  framed("an unknown transfer encoding", () => ["Transfer-Encoding: xchunked"], "chunked"),
  framed("chunks under another encoding", () => ["Transfer-Encoding: gzip, chunked"], "chunked"),
  framed("an empty length", () => ["Content-Length:"]),
  framed("a list of lengths", (length) => [`Content-Length: ${length}, ${length}`]),
  framed("a length in hexadecimal digits", (length) => [`Content-Length: 0x${length.toString(16)}`]),
  framed("an empty transfer encoding", () => ["Transfer-Encoding:"]),
  {
    name: "an empty transfer encoding of a read",
    bytes: () => `GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n\r\n${behind}`,
    answer: problem(400),
  },
  framed("an empty transfer encoding and a length", (length) => ["Transfer-Encoding:", `Content-Length: ${length}`]),
  framed("an empty encoding before chunks", () => ["Transfer-Encoding: , chunked"], "chunked"),
  framed("chunks with a parameter", () => ["Transfer-Encoding: chunked;q=1"], "chunked"),
  framed("chunks in two fields", () => ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], "chunked"),
  framed("the removed transfer encoding identity", () => ["Transfer-Encoding: identity"]),
  inOldVersion(framed("chunks in HTTP/1.0", () => ["Transfer-Encoding: chunked"], "chunked")),
];

function inOldVersion(given: HostileRequest): HostileRequest {
  return { ...given, bytes: (key) => given.bytes(key).replace("HTTP/1.1", "HTTP/1.0") };
}

/** Chunks (RFC 9112 section 7.1). Only the parser of a runtime sees them. */
const chunks: readonly HostileRequest[] = [
  { name: "a chunk without a length", bytes: post(["Transfer-Encoding: chunked"], "zz\r\n\r\n"), answer: problem(400) },
  {
    name: "a chunk with a signed length",
    bytes: post(["Transfer-Encoding: chunked"], "-1\r\n\r\n"),
    answer: problem(400),
  },
  { name: "a chunk length over 64 bits", bytes: chunkOf("FFFFFFFFFFFFFFFFF", 0), answer: problem(400) },
  // A receiver must be able to stop such a body at its limit, however long it claims to be.
  { name: "a chunk length of 64 bits", bytes: chunkOf("FFFFFFFFFFFFFFFF", 1_050_000), answer: problem(413) },
  {
    name: "a chunk that is longer than its length",
    bytes: post([json, "Transfer-Encoding: chunked"], "2\r\n{}x\r\n0\r\n\r\n"),
    answer: problem(400),
  },
  { name: "a chunk extension", bytes: chunked(";name=value"), answer: ok },
  { name: "a chunk extension without a name", bytes: chunked(";"), answer: problem(400) },
  { name: "a chunk extension that is no token", bytes: chunked(";["), answer: problem(400) },
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

/** Requests that never come to an end, where the gateway itself listens; a platform in front of a Worker has timeouts of its own. */
export const endlessRequests: readonly HostileRequest[] = [
  { name: "headers that do not end", bytes: () => "GET /livez HTTP/1.1\r\nHost: x\r\n", answer: problem(408) },
  { name: "a connection on which nothing is sent", bytes: () => "", answer: problem(408) },
];
