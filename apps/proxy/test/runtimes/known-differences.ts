import type { HostileAnswer } from "./hostile-requests.ts";
import type { RuntimeName } from "./launcher.ts";

/** A hostile request to which some runtimes respond differently. */
export interface KnownDifference {
  /** Its name in `hostile-requests.ts`. */
  readonly request: string;
  readonly runtimes: readonly RuntimeName[];
  readonly answer: HostileAnswer;
  /** The cause, and why it is harmless. */
  readonly reason: string;
}

/** The reasons of workerd. In production, Cloudflare's edge is in front of the Worker and refuses more of these requests. */
const resolved =
  "A Worker receives a URL in which dot segments, backslashes and fragments are already resolved. The gateway validates the resolved path and builds the upstream path from it.";
const refusedByHost = "workerd itself refuses it before the Worker receives it.";
const refusedBehind = "workerd responds to the bytes as well, with a 400 of its own, and closes the connection.";
const readByHost = "workerd accepts it, as HTTP permits, and the gateway receives a well-formed request.";

function workerd(request: string, status: number, reason: string, isProblem = false): KnownDifference {
  return { request, runtimes: ["workerd"], answer: { status: [status], isProblem }, reason };
}

const unseenCoding =
  "workerd reads the chunks, and the server in front of the Worker rewrites the field, so the Worker cannot see it. A Worker that receives such a field refuses it.";
const otherProtocol =
  "The parser does not say which protocol the request line names, and accepts RTSP and ICE. The gateway handles the request as HTTP.";

/** A difference after which workerd also responds to what follows. */
function followed({ answer, ...difference }: KnownDifference): KnownDifference {
  return { ...difference, answer: { ...answer, isFollowed: true } };
}

const refusedByBun = "Bun's parser is stricter than HTTP requires and refuses it before the gateway receives it.";
const hiddenExtension =
  "The parser drops chunk extensions before the gateway receives the body, so the gateway cannot check them. They change neither where a chunk ends nor what the body is.";

/** A chunk extension that a runtime accepts although the grammar of HTTP does not. */
function extension(request: string, runtimes: readonly RuntimeName[]): KnownDifference {
  return { request, runtimes, answer: { status: [200], isProblem: false }, reason: hiddenExtension };
}

const closedByBun =
  "Bun itself closes a connection with an incomplete request head after 8 to 12 s, without a response; on other runtimes the gateway responds after 15 to 20 s.";

function refused(request: string, status: number): KnownDifference {
  return { request, runtimes: ["bun"], answer: { status: [status], isProblem: true }, reason: refusedByBun };
}

function bun(request: string): KnownDifference {
  return { request, runtimes: ["bun"], answer: { status: ["closed"], isProblem: false }, reason: closedByBun };
}

/** Every difference between the runtimes. All other responses are the same on all of them. */
export const knownDifferences: readonly KnownDifference[] = [
  workerd("path: dot segments", 200, resolved),
  workerd("path: encoded dot segments", 200, resolved),
  workerd("path: dot segments that cancel out", 200, resolved),
  workerd("path: absolute form, dot segments", 200, resolved),
  workerd("path: absolute form, another scheme", 200, resolved),
  workerd("path: a backslash", 200, resolved),
  workerd("path: a fragment", 200, resolved),
  workerd("path: dot segments as an id", 404, resolved, true),
  workerd("path: encoded dot segments as an id", 404, resolved, true),
  workerd("a Host with a path", 404, resolved, true),
  workerd("path: a NUL", 400, refusedByHost),
  workerd("path: a byte outside ASCII", 400, refusedByHost),
  workerd("a request line that is not HTTP", 400, refusedByHost),
  workerd("no Host field", 400, refusedByHost),
  workerd("a health check in HTTP/1.0 without Host", 400, refusedByHost),
  workerd("a readiness check in HTTP/1.0 without Host", 400, refusedByHost),
  workerd("a field with obsolete line folding", 400, refusedByHost),
  workerd("a space between a field name and its colon", 400, refusedByHost),
  workerd("a NUL in a field", 400, refusedByHost),
  workerd("another protocol in the request line", 400, refusedByHost),
  workerd("two different Content-Length fields", 400, refusedByHost),
  workerd("a Content-Length with a sign", 400, refusedByHost),
  workerd("an unknown transfer encoding", 400, refusedByHost),
  workerd("method: lower case", 501, refusedByHost),
  workerd("method: unknown", 501, refusedByHost),
  workerd("method: unknown, at an unknown path", 501, refusedByHost),
  workerd("path: asterisk form, OPTIONS", 500, refusedByHost),
  workerd("method: CONNECT", 500, refusedByHost),
  workerd("two Host fields", 500, refusedByHost),
  workerd("an invalid chunk size", 500, refusedByHost),
  workerd("path: asterisk form, GET", 500, refusedByHost),
  followed(workerd("bytes that are not HTTP after a request, in one packet", 404, refusedBehind, true)),
  workerd("an unsupported major version", 400, refusedByHost),
  workerd("an unknown minor version", 400, refusedByHost),
  workerd("a request line without a version", 400, refusedByHost),
  workerd("two spaces in the request line", 400, refusedByHost),
  workerd("an empty Content-Length", 400, refusedByHost),
  workerd("a Content-Length list", 400, refusedByHost),
  workerd("a hexadecimal Content-Length", 400, refusedByHost),
  workerd("an empty Transfer-Encoding", 400, refusedByHost),
  workerd("an empty Transfer-Encoding in a read", 400, refusedByHost),
  workerd("an empty Transfer-Encoding and a length", 400, refusedByHost),
  workerd("chunked with a parameter", 400, refusedByHost),
  workerd("the obsolete transfer encoding identity", 400, refusedByHost),
  workerd("Transfer-Encoding in HTTP/1.0", 400, refusedByHost),
  workerd("a signed chunk size", 500, refusedByHost),
  workerd("a chunk size over 64 bits", 500, refusedByHost),
  workerd("a chunk longer than its size", 500, refusedByHost),
  workerd("a line feed in a chunk extension", 500, refusedByHost),
  workerd("a chunk extension over 16 KiB", 500, refusedByHost),
  followed(workerd("a request after an upgrade to another protocol", 200, readByHost)),
  followed(workerd("two equal Content-Length fields", 200, readByHost)),
  workerd("Content-Length before chunked", 200, readByHost),
  workerd("chunked before Content-Length", 200, readByHost),
  followed(workerd("chunked after another transfer encoding", 200, unseenCoding)),
  followed(workerd("an empty list element before chunked", 200, unseenCoding)),
  followed(workerd("chunked in two fields", 200, unseenCoding)),
  workerd("lines that end without CR", 401, readByHost, true),
  workerd(
    "a target over 16 KiB",
    431,
    "workerd accepts it, and the gateway forwards it. The upstream of this test refuses it, and the gateway passes that on.",
    true,
  ),
  workerd("a header field over 16 KiB", 200, readByHost),
  workerd("an unknown expectation", 200, readByHost),
  workerd("header fields of 18 KiB in total", 200, readByHost),
  workerd("more than 100 header fields", 200, readByHost),
  extension("a chunk extension without a name", ["bun", "workerd"]),
  extension("a chunk extension that is not a token", ["bun", "workerd"]),
  extension("a chunk extension over 16 KiB", ["deno"]),
  {
    request: "another protocol in the request line",
    runtimes: ["node", "deno"],
    answer: { status: [200], isProblem: false },
    reason: otherProtocol,
  },
  refused("path: asterisk form, OPTIONS", 400),
  refused("two spaces in the request line", 400),
  refused("a chunk size of 64 bits", 400),
  bun("a header section that never ends"),
  bun("a connection without any data"),
];
