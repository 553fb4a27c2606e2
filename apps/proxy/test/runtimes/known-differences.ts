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

const closedByBun =
  "Bun itself closes a connection with an incomplete request head after 12 s, without a response; on other runtimes the gateway responds after 15 to 20 s.";

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
  workerd("a folded field", 400, refusedByHost),
  workerd("a space before the colon", 400, refusedByHost),
  workerd("a NUL in a field", 400, refusedByHost),
  workerd("two lengths", 400, refusedByHost),
  workerd("a length with a sign", 400, refusedByHost),
  workerd("an unknown transfer encoding", 400, refusedByHost),
  workerd("method: in lower case", 501, refusedByHost),
  workerd("method: one that nobody knows", 501, refusedByHost),
  workerd("path: an asterisk", 500, refusedByHost),
  workerd("method: a tunnel", 500, refusedByHost),
  workerd("Host twice", 500, refusedByHost),
  workerd("a chunk without a length", 500, refusedByHost),
  workerd("lines without CR", 401, readByHost, true),
  workerd("a field over 16 KiB", 200, readByHost),
  workerd("an expectation that nobody knows", 200, readByHost),
  bun("headers that do not end"),
  bun("a connection on which nothing is sent"),
];
