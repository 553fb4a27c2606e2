/**
 * Requests for permission on devices behind a remote server. The server lists all requests of the tenant; a restricted principal sees only those
 * that it can reach by device, agent and mode. The gateway builds its own pages: a filtered page of the server would reveal, by its length and its
 * cursor, how many other requests there are and when they were made.
 */
import type { Sha256 } from "@letta-environments/platform";
import {
  allowsAgent,
  allowsDevice,
  defaultListLimit,
  endpoints,
  jsonResponse,
  type ListApprovalsQuery,
  maxListLimit,
  type PlainResponse,
  type Principal,
  problemResponse,
  refused,
  type Refused,
} from "@letta-environments/schema";
import { isJsonObject, parseJsonObject } from "../../lib/json.ts";
import {
  fewAllowedDeviceIds,
  isInAllowedMode,
  isLimitedToDevices,
  maxKeptLength,
  maxPageRows,
  maxPages,
  readDevice,
} from "../environments.ts";
import type { ReadRemote } from "../remote-call.ts";
import { refuseContent } from "../validate-response.ts";

interface UpstreamApproval {
  readonly [member: string]: unknown;
  readonly id: string;
  readonly deviceId: string;
  readonly agentId: string | null;
  readonly conversationId: string;
  readonly requestedAt: number;
}

/** The place of a request in the list, which is ordered by time, then by a digest of the ids. */
interface Cursor {
  readonly requestedAt: number;
  readonly digest: string;
}

/** A request that a page may show. */
interface Candidate extends Cursor {
  readonly approval: UpstreamApproval;
  /** As JSON, in UTF-16 code units. */
  readonly length: number;
}

/** Lists the requests that a principal can reach, the oldest first. Where names, tags or modes decide, the devices themselves are read. */
export async function listRemoteApprovals(
  principal: Principal,
  { after, limit = defaultListLimit }: ListApprovalsQuery,
  read: ReadRemote,
  sha256: Sha256,
): Promise<PlainResponse> {
  const start = after === undefined ? null : parseCursor(after);
  if (start === undefined) return unknownCursor;
  const isReachable = createReachabilityCheck(principal, read);
  let found: Candidate[] = [];
  for await (const page of readPages(read)) {
    if (page.kind === "refused") return page.response;
    for (const approval of page.approvals) {
      const cursor = cursorOf(approval, sha256);
      if (start !== null && compareCursors(cursor, start) <= 0) continue;
      const isReached = await isReachable(approval);
      if (typeof isReached !== "boolean") return isReached;
      if (isReached) found.push({ approval, ...cursor, length: JSON.stringify(approval).length });
    }
    found = found.toSorted(compareCursors).slice(0, limit + 1);
    if (found.reduce((sum, { length }) => sum + length, 0) > maxKeptLength) return tooLong;
    // The next page may begin with requests of the same time.
    const next = found[limit];
    if (next !== undefined && next.requestedAt < (page.approvals.at(-1)?.requestedAt ?? 0)) break;
  }
  const shown = found.slice(0, limit);
  const last = shown.at(-1);
  return jsonResponse(200, {
    approvals: shown.map(({ approval }) => approval),
    hasNextPage: found.length > limit,
    cursor: last === undefined ? null : `${last.requestedAt}.${last.digest}`,
  });
}

/** Whether a principal can reach every request of its tenant. Such principals get the server's own list. */
export function reachesAllApprovals(principal: Principal): boolean {
  return !isLimitedToDevices(principal) && principal.maxMode === null && principal.agentIds === null;
}

/** Returns the response to a principal that can reach every request: the page of the server, unchanged. */
export function presentApprovals(response: PlainResponse): PlainResponse {
  const page = readPage(response);
  return page.kind === "read" ? response : page.response;
}

/** Returns a function that decides whether a principal can reach a request; a response if the device cannot be read. It reads each device once. */
function createReachabilityCheck(
  principal: Principal,
  read: ReadRemote,
): (approval: UpstreamApproval) => Promise<boolean | PlainResponse> {
  const readsDevices = isLimitedToDevices(principal) || principal.maxMode !== null;
  const deviceIds = fewAllowedDeviceIds(principal);
  const known = new Map<string, boolean>();
  return async ({ deviceId, agentId }) => {
    if (!allowsAgent(principal, agentId ?? undefined)) return false;
    if (!readsDevices) return true;
    if (deviceIds?.includes(deviceId) === false) return false;
    const decided = known.get(deviceId);
    if (decided !== undefined) return decided;
    const device = await readDevice(deviceId, read);
    if (device.kind === "refused") return device.response;
    const { row } = device;
    const isReachable = row !== null && allowsDevice(principal, row) && isInAllowedMode(principal, row);
    known.set(deviceId, isReachable);
    return isReachable;
  };
}

type ApprovalPage =
  | { readonly kind: "read"; readonly approvals: readonly UpstreamApproval[]; readonly next: string | null }
  | Refused;

/** Reads the list of the server page by page. */
async function* readPages(read: ReadRemote): AsyncGenerator<ApprovalPage, void> {
  const query = new URLSearchParams({ limit: String(maxListLimit) });
  for (let count = 0; count < maxPages; count++) {
    const page = readPage(await read(endpoints.listApprovals, {}, query.toString()));
    yield page;
    if (page.kind === "refused" || page.next === null) return;
    if (page.next === query.get("after")) return yield invalidPage;
    query.set("after", page.next);
  }
  const detail = `The upstream has more requests for permission than the gateway searches for one list (${maxPages * maxListLimit}).`;
  yield refused(problemResponse("upstream_response_too_large", { detail }));
}

function readPage(response: PlainResponse): ApprovalPage {
  if (response.status !== endpoints.listApprovals.successStatus) return refused(response);
  const { approvals, hasNextPage, cursor } = parseJsonObject(response.body) ?? {};
  if (!Array.isArray(approvals) || approvals.length > maxPageRows || !approvals.every(isApproval)) return invalidPage;
  if (hasNextPage !== true) return { kind: "read", approvals, next: null };
  return typeof cursor === "string" ? { kind: "read", approvals, next: cursor } : invalidPage;
}

function isApproval(value: unknown): value is UpstreamApproval {
  if (!isJsonObject(value) || !isString(value["id"]) || !isString(value["deviceId"])) return false;
  if (!isString(value["conversationId"]) || !Number.isSafeInteger(value["requestedAt"])) return false;
  return value["agentId"] === null || isString(value["agentId"]);
}

function isString(value: unknown): boolean {
  return typeof value === "string";
}

function cursorOf({ id, deviceId, agentId, conversationId, requestedAt }: UpstreamApproval, sha256: Sha256): Cursor {
  return { requestedAt, digest: sha256(JSON.stringify([deviceId, agentId, conversationId, id])).slice(0, 24) };
}

function compareCursors(left: Cursor, right: Cursor): number {
  if (left.requestedAt !== right.requestedAt) return left.requestedAt - right.requestedAt;
  return left.digest === right.digest ? 0 : left.digest < right.digest ? -1 : 1;
}

/** `undefined` for a text that no page had. */
function parseCursor(text: string): Cursor | undefined {
  const [, requestedAt, digest] = /^(\d{1,16})\.([0-9a-f]{24})$/.exec(text) ?? [];
  return requestedAt === undefined || digest === undefined ? undefined : { requestedAt: Number(requestedAt), digest };
}

const invalidPage: ApprovalPage = refused(refuseContent());

const tooLong = problemResponse("upstream_response_too_large", {
  detail: "The requests for permission of a page are too long together. Request a smaller page with `limit`.",
});

const unknownCursor = problemResponse("invalid_request", {
  issues: [{ member: "after", rule: "must be the cursor of an earlier page" }],
});
