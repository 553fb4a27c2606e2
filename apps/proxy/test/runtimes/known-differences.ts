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
const readByHost = "workerd accepts it, as HTTP permits, and the gateway receives a well-formed request.";

function workerd(request: string, status: number, reason: string, isProblem = false): KnownDifference {
  return { request, runtimes: ["workerd"], answer: { status: [status], isProblem }, reason };
}

const unseenCoding =
  "workerd reads the chunks, and the server in front of the Worker rewrites the field, so the Worker cannot see it. A Worker that receives such a field refuses it.";
const otherProtocol =
  "The parser does not say which protocol the request line names, and accepts RTSP and ICE. The gateway handles the request as HTTP.";

/** A difference that lets workerd serve the request behind it, too. */
function followed({ answer, ...difference }: KnownDifference): KnownDifference {
  return { ...difference, answer: { ...answer, isFollowed: true } };
}

const refusedByBun = "Bun's parser is stricter than HTTP requires and refuses it before the gateway receives it.";
const hiddenExtension =
  "The parser drops chunk extensions before the gateway receives the body, so the gateway cannot check them. They change neither where a chunk ends nor what the body is.";

/** Where a runtime reads chunk extensions less strictly than the grammar of HTTP. */
function extension(request: string, runtimes: readonly RuntimeName[]): KnownDifference {
  return { request, runtimes, answer: { status: [200], isProblem: false }, reason: hiddenExtension };
}

const closedByBun =
  "Bun itself closes a connection with an incomplete request head after 12 s, without a response; on other runtimes the gateway responds after 15 to 20 s.";

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
  workerd("path: dot segments that lead back", 200, resolved),
  workerd("path: absolute, with dot segments", 200, resolved),
  workerd("path: absolute, of another scheme", 200, resolved),
  workerd("path: a backslash", 200, resolved),
  workerd("path: a fragment", 200, resolved),
  workerd("path: dot segments as an id", 404, resolved, true),
  workerd("path: encoded dot segments as an id", 404, resolved, true),
  workerd("a Host that is a path", 404, resolved, true),
  workerd("path: a NUL", 400, refusedByHost),
  workerd("path: bytes over 127", 400, refusedByHost),
  workerd("no HTTP at all", 400, refusedByHost),
  workerd("no Host", 400, refusedByHost),
  workerd("a health check in HTTP/1.0 without Host", 400, refusedByHost),
  workerd("a check of readiness in HTTP/1.0 without Host", 400, refusedByHost),
  workerd("a folded field", 400, refusedByHost),
  workerd("a space before the colon", 400, refusedByHost),
  workerd("a NUL in a field", 400, refusedByHost),
  workerd("another protocol", 400, refusedByHost),
  workerd("two lengths", 400, refusedByHost),
  workerd("a length with a sign", 400, refusedByHost),
  workerd("an unknown transfer encoding", 400, refusedByHost),
  workerd("method: in lower case", 501, refusedByHost),
  workerd("method: one that nobody knows", 501, refusedByHost),
  workerd("method: one that nobody knows, where nothing is", 501, refusedByHost),
  workerd("path: an asterisk", 500, refusedByHost),
  workerd("method: a tunnel", 500, refusedByHost),
  workerd("Host twice", 500, refusedByHost),
  workerd("a chunk without a length", 500, refusedByHost),
  workerd("path: an asterisk for a read", 500, refusedByHost),
  workerd("another major version", 400, refusedByHost),
  workerd("a version that nobody knows", 400, refusedByHost),
  workerd("no version", 400, refusedByHost),
  workerd("two spaces in the request line", 400, refusedByHost),
  workerd("an empty length", 400, refusedByHost),
  workerd("a list of lengths", 400, refusedByHost),
  workerd("a length in hexadecimal digits", 400, refusedByHost),
  workerd("an empty transfer encoding", 400, refusedByHost),
  workerd("an empty transfer encoding of a read", 400, refusedByHost),
  workerd("an empty transfer encoding and a length", 400, refusedByHost),
  workerd("chunks with a parameter", 400, refusedByHost),
  workerd("the removed transfer encoding identity", 400, refusedByHost),
  workerd("chunks in HTTP/1.0", 400, refusedByHost),
  workerd("a chunk with a signed length", 500, refusedByHost),
  workerd("a chunk length over 64 bits", 500, refusedByHost),
  workerd("a chunk that is longer than its length", 500, refusedByHost),
  workerd("a line feed in a chunk extension", 500, refusedByHost),
  workerd("a chunk extension over 16 KiB", 500, refusedByHost),
  followed(workerd("a request behind an upgrade to another protocol", 200, readByHost)),
  followed(workerd("the same length twice", 200, readByHost)),
  workerd("a length and chunks", 200, readByHost),
  workerd("chunks and a length", 200, readByHost),
  followed(workerd("chunks under another encoding", 200, unseenCoding)),
  followed(workerd("an empty encoding before chunks", 200, unseenCoding)),
  followed(workerd("chunks in two fields", 200, unseenCoding)),
  workerd("lines without CR", 401, readByHost, true),
  workerd(
    "a target over 16 KiB",
    431,
    "workerd accepts it, and the gateway forwards it. The upstream of this test refuses it, and the gateway passes that on.",
    true,
  ),
  workerd("a field over 16 KiB", 200, readByHost),
  workerd("an expectation that nobody knows", 200, readByHost),
  workerd("fields of 18 KiB together", 200, readByHost),
  workerd("more than 100 fields", 200, readByHost),
  extension("a chunk extension without a name", ["bun", "workerd"]),
  extension("a chunk extension that is no token", ["bun", "workerd"]),
  extension("a chunk extension over 16 KiB", ["deno"]),
  {
    request: "another protocol",
    runtimes: ["node", "deno"],
    answer: { status: [200], isProblem: false },
    reason: otherProtocol,
  },
  refused("path: an asterisk", 400),
  refused("two spaces in the request line", 400),
  refused("a chunk length of 64 bits", 400),
  bun("headers that do not end"),
  bun("a connection on which nothing is sent"),
];
