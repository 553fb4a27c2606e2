/**
 * The environments that a remote server lists, read as far as decisions need them: which rows a principal may see, and which members. Everything else
 * in a row is left unchanged.
 */
import {
  allowsDevice,
  allowsMode,
  defaultListLimit,
  hasEveryTag,
  type ListEnvironmentsQuery,
  endpoints,
  isIdentifier,
  jsonResponse,
  maxListLimit,
  type PlainResponse,
  type PresentableEnvironment,
  presentEnvironment,
  type Principal,
  problemResponse,
  refused,
  type Refused,
} from "@letta-environments/schema";
import { isJsonObject, parseJson, parseJsonObject, readText } from "../lib/json.ts";
import { memoizeRecent } from "../lib/memoize-text.ts";
import type { ReadRemote } from "./remote-call.ts";
import { refuseContent } from "./validate-response.ts";

/** An environment of a remote server. */
export interface UpstreamRow extends PresentableEnvironment {
  readonly [member: string]: unknown;
  readonly id: string;
  readonly deviceId: string;
  readonly connectionName: string;
  readonly tags?: unknown;
  readonly currentMode?: unknown;
  readonly pendingApprovals?: unknown;
  /** Absent or `null` while offline. */
  readonly connectionId?: string | null | undefined;
}

/** The most rows of a page that is accepted. A server that ignores the limit of a request may send more than it allows. */
export const maxPageRows: number = 10 * maxListLimit;

/** A page of a remote server's list. */
interface UpstreamList {
  readonly [member: string]: unknown;
  readonly connections: readonly UpstreamRow[];
  readonly hasNextPage: boolean;
}

/** Reads one environment; `null` when the response is not an environment. */
function readUpstreamRow({ body }: PlainResponse): UpstreamRow | null {
  const row = parseJsonObject(body);
  return isUpstreamRow(row) ? row : null;
}

function readUpstreamList({ body }: PlainResponse): UpstreamList | null {
  return readText(body ?? "", parseList) ?? null;
}

const parseList = memoizeRecent((text): UpstreamList | null => {
  const list = parseJson(text);
  return isUpstreamList(list) ? list : null;
});

/** Whether a value is a row. What logs and stores keep of it is bounded. */
function isUpstreamRow(value: unknown): value is UpstreamRow {
  return (
    isJsonObject(value) &&
    isTextUpTo(256, value["id"]) &&
    isTextUpTo(256, value["deviceId"]) &&
    isTextUpTo(1_024, value["connectionName"]) &&
    isTextUpTo(256, value["connectionId"] ?? "")
  );
}

function isTextUpTo(length: number, value: unknown): boolean {
  return typeof value === "string" && value.length <= length;
}

function isUpstreamList(value: unknown): value is UpstreamList {
  if (!isJsonObject(value) || typeof value["hasNextPage"] !== "boolean") return false;
  const { connections } = value;
  return Array.isArray(connections) && connections.length <= maxPageRows && connections.every(isUpstreamRow);
}

/** Whether a principal may see some devices only, so that rows must be checked one by one. */
export function isLimitedToDevices(principal: Principal): boolean {
  const { deviceIds, connectionNames, tenantDevices = null, deviceTags = null } = principal;
  return deviceIds !== null || connectionNames !== null || tenantDevices !== null || deviceTags !== null;
}

/** Whether the mode that a row shows is not beyond the maximum mode of a principal. */
export function isInAllowedMode(principal: Pick<Principal, "maxMode">, { currentMode }: UpstreamRow): boolean {
  return allowsMode(principal, typeof currentMode === "string" ? currentMode : undefined);
}

/**
 * A row without the members that the principal may not see; the same object when nothing is hidden. The server counts all requests for permission
 * that wait on the device, so the count is only for principals that may decide on all of them.
 */
function present(principal: Principal, row: UpstreamRow): UpstreamRow {
  const mayDecide = principal.scopes.has("approve") && principal.agentIds === null && isInAllowedMode(principal, row);
  if (row.pendingApprovals === undefined || mayDecide) return presentEnvironment(principal, row);
  const { pendingApprovals: _pendingApprovals, ...others } = row;
  return presentEnvironment<UpstreamRow>(principal, others);
}

/**
 * A list response without the members that the principal may not see; the same response when nothing is hidden. Each response is parsed, because
 * it may be cached, and one that is not a list must not be.
 */
export function presentList(principal: Principal, response: PlainResponse): PlainResponse {
  if (response.status !== endpoints.listEnvironments.successStatus) return response;
  const list = readUpstreamList(response);
  if (list === null) return refuseContent();
  const connections = list.connections.map((row) => present(principal, row));
  if (connections.every((row, index) => row === list.connections[index])) return response;
  return { status: response.status, headers: response.headers, body: JSON.stringify({ ...list, connections }) };
}

/**
 * A device response without the members that the principal may not see; the same response when nothing is hidden. A device that the principal may
 * not use and one that does not exist look alike.
 */
export function presentRow(principal: Principal, deviceId: string, response: PlainResponse): PlainResponse {
  if (response.status === 404 && isLimitedToDevices(principal)) return problemResponse("environment_not_found");
  if (response.status !== endpoints.retrieveEnvironment.successStatus) return response;
  const row = readUpstreamRow(response);
  if (row === null) return refuseContent();
  if (!allowsDevice(principal, row)) return problemResponse("environment_not_found");
  // Where a server or proxy sends a response too many, the next one belongs to another request.
  if (row.deviceId !== deviceId) return refuseContent({ reason: "other_device" });
  const presented = present(principal, row);
  if (presented === row) return response;
  return { status: response.status, headers: response.headers, body: JSON.stringify(presented) };
}

/** Maximum number of devices of an allowlist that are read one by one. */
const maxDeviceReads = 20;

/** Returns the ids of the only devices that a principal may use; `null` if there may be others, or more than are read one by one. */
export function fewAllowedDeviceIds({ tenantDevices = null, ...own }: Principal): readonly string[] | null {
  const lists = [own, tenantDevices].flatMap((devices) => {
    return devices === null || devices.deviceIds === null || devices.connectionNames !== null
      ? []
      : [devices.deviceIds];
  });
  const [first, second = first] = lists;
  const ids = first?.filter((id) => second?.includes(id));
  return ids === undefined || ids.length > maxDeviceReads ? null : ids;
}

/** The row of a device; `null` if it has no usable row. */
export type DeviceRead = { readonly kind: "read"; readonly row: UpstreamRow | null } | Refused;

/** Reads the row of a device. */
export async function readDevice(deviceId: string, read: ReadRemote): Promise<DeviceRead> {
  if (!isIdentifier(deviceId)) return { kind: "read", row: null };
  const response = await read(endpoints.retrieveEnvironment, { deviceId }, "");
  if (response.status === 404) return { kind: "read", row: null };
  if (response.status !== endpoints.retrieveEnvironment.successStatus) return refused(response);
  const row = readUpstreamRow(response);
  if (row === null || row.deviceId === deviceId) return { kind: "read", row };
  return refused(refuseContent({ reason: "other_device", operation: "retrieveEnvironment" }));
}

/** Maximum number of pages that are read for a list: with 100 rows a page, 5,000 rows. */
export const maxPages = 50;

/** The length of the bodies from which a list keeps rows, and of the requests for permission that it keeps. In bytes or UTF-16 code units. */
export const maxKeptLength = 8_388_608;

/** A page of the remote server's list, or the response for the caller when reading ends here. */
export type EnvironmentPage =
  | {
      readonly kind: "rows";
      readonly rows: readonly UpstreamRow[];
      /** Length of the body that the rows were in; absent for a device that was read by its id. */
      readonly bodyLength?: number;
    }
  | (Refused & {
      /** Whether the maximum number of pages was read without a failure. */
      readonly isAtLimit: boolean;
    });

/** Reads the remote server's list page by page, from the cursor of the query, until it ends, a page fails, or `limit` pages are read. */
export async function* readEnvironmentPages(
  read: ReadRemote,
  query: string,
  limit: number,
): AsyncGenerator<EnvironmentPage, void> {
  const refuse = (response: PlainResponse): EnvironmentPage => ({ kind: "refused", response, isAtLimit: false });
  const parameters = new URLSearchParams(query);
  parameters.set("limit", String(maxListLimit));
  for (let count = 0; count < limit; count++) {
    const response = await read(endpoints.listEnvironments, {}, parameters.toString());
    if (response.status !== endpoints.listEnvironments.successStatus) return yield refuse(response);
    const list = readUpstreamList(response);
    if (list === null) return yield refuse(refuseContent({ reason: "invalid", operation: "listEnvironments" }));
    const { connections, hasNextPage } = list;
    yield { kind: "rows", rows: connections, bodyLength: response.body?.length ?? 0 };
    const last = connections.at(-1);
    if (!hasNextPage || last === undefined) return;
    parameters.set("after", last.id);
  }
  const detail = `The upstream has more rows than the gateway searches for one request (${limit * maxListLimit}).`;
  yield { kind: "refused", response: problemResponse("upstream_response_too_large", { detail }), isAtLimit: true };
}

/**
 * Lists the rows that a principal may see and that have the tags of the query, which the remote server may not support. Reads as many pages of the
 * remote server as the limit needs.
 */
export async function listPermitted(
  principal: Principal,
  query: string,
  { limit = defaultListLimit, tag: tags = [] }: ListEnvironmentsQuery,
  read: ReadRemote,
): Promise<PlainResponse> {
  const isListed = (row: UpstreamRow): boolean => allowsDevice(principal, row) && hasEveryTag(row, tags);
  const found: UpstreamRow[] = [];
  let [lastId, keptLength] = ["", 0];
  const respond = (hasNextPage: boolean): PlainResponse => {
    const connections = found.slice(0, limit).map((row) => present(principal, row));
    return jsonResponse(200, { connections, hasNextPage });
  };
  for await (const page of readEnvironmentPages(read, query, maxPages)) {
    if (page.kind === "refused") {
      if (!page.isAtLimit) return page.response;
      // Rows that were found make a page that can be continued. Without any, an empty page could be mistaken for the end.
      if (found.length > 0) return respond(true);
      const deviceIds = fewAllowedDeviceIds(principal);
      if (deviceIds === null || !isPlainQuery(query)) return page.response;
      const rest = await readRowsAfter(lastId, deviceIds, read);
      if (rest.kind === "refused") return rest.response;
      found.push(...rest.rows.filter(isListed));
      return respond(found.length > limit);
    }
    lastId = page.rows.at(-1)?.id ?? lastId;
    const listed = page.rows.filter(isListed);
    found.push(...listed);
    if (listed.length > 0) keptLength += page.bodyLength ?? 0;
    if (found.length > limit || keptLength > maxKeptLength) return respond(true);
  }
  return respond(false);
}

/** Whether a list is requested without filters, which only the remote server can apply. */
function isPlainQuery(query: string): boolean {
  return [...new URLSearchParams(query).keys()].every((name) => name === "limit" || name === "after");
}

/** Reads the rows of devices one by one, after the rows that the list has already shown. Lists are ordered by id. */
async function readRowsAfter(
  lastId: string,
  deviceIds: readonly string[],
  read: ReadRemote,
): Promise<{ readonly kind: "read"; readonly rows: readonly UpstreamRow[] } | Refused> {
  const rows: UpstreamRow[] = [];
  for (const deviceId of deviceIds) {
    const device = await readDevice(deviceId, read);
    if (device.kind === "refused") return device;
    if (device.row !== null && device.row.id > lastId) rows.push(device.row);
  }
  return { kind: "read", rows: rows.toSorted((left, right) => (left.id < right.id ? -1 : 1)) };
}
