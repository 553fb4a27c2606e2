/**
 * Finds out whose connection it is that a send names, in front of a server that knows nothing of our keys. A connectionId is
 * a row of the tenant's own list or it is nothing: it never goes on unresolved.
 */
import type { Clock } from "@letta-environments/platform";
import {
  type Endpoint,
  endpoints,
  isIdentifier,
  type PlainResponse,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import { type BoundedMap, createBoundedMap } from "../lib/bounded-map.ts";
import type { UpstreamRequest } from "../ports.ts";
import { readEnvironmentPages } from "./read-environment-pages.ts";
import { readRequest } from "./read-request.ts";
import { readUpstreamRow, type UpstreamRow } from "./upstream-row.ts";

/** Age up to which a row is taken as it was read, in milliseconds. */
export const maxRowAgeMs = 5_000;

/** Resolved connections kept in memory; the oldest one is forgotten first. */
export const maxResolvedConnections = 10_000;

/** Calls the upstream for an endpoint, within the time of the request that is served. */
export type CallUpstream = (endpoint: Endpoint, request: UpstreamRequest) => Promise<PlainResponse>;

/** The row of a connection, or what the caller is told instead. */
export type ResolvedConnection =
  | { readonly kind: "resolved"; readonly row: UpstreamRow }
  | { readonly kind: "refused"; readonly response: PlainResponse };

/** Knows whose connections are whose. */
export interface ResolveConnection {
  /** Finds the row of a connection. With `maxAgeMs` -1 the row is read in any case. */
  resolve(
    connectionId: string,
    request: UpstreamRequest,
    call: CallUpstream,
    maxAgeMs: number,
  ): Promise<ResolvedConnection>;
  /** Drops the rows that a principal has resolved. */
  forget(principal: Principal): void;
}

/**
 * Creates a {@link ResolveConnection}. A connection is looked for in the list, page by page ({@link readEnvironmentPages}), and
 * then remembered. An older row is confirmed by reading its device, and looked for anew when that shows another connection.
 */
export function createResolveConnection(
  clock: Pick<Clock, "now">,
  capacity: number = maxResolvedConnections,
): ResolveConnection {
  const known: BoundedMap<{ readonly row: UpstreamRow; readonly readAtMs: number }> = createBoundedMap(capacity);

  async function resolve(
    connectionId: string,
    request: UpstreamRequest,
    call: CallUpstream,
    maxAgeMs: number,
  ): Promise<ResolvedConnection> {
    const key = startOf(request.principal) + connectionId;
    const isWanted = (row: UpstreamRow): boolean => row.connectionId === connectionId;
    const remember = (row: UpstreamRow, readAtMs: number): ResolvedConnection => {
      known.delete(key);
      known.set(key, { row, readAtMs });
      return { kind: "resolved", row };
    };

    const remembered = known.get(key);
    if (remembered !== undefined) {
      const nowMs = clock.now();
      const ageMs = nowMs - remembered.readAtMs;
      if (ageMs >= 0 && ageMs <= maxAgeMs) return { kind: "resolved", row: remembered.row };
      const confirmed = await readDevice(remembered.row.deviceId, request, call);
      if (confirmed.kind === "refused") return confirmed;
      if (confirmed.row !== null && isWanted(confirmed.row)) return remember(confirmed.row, nowMs);
      known.delete(key);
    }

    const readPage = (page: UpstreamRequest): Promise<PlainResponse> => call(endpoints.listEnvironments, page);
    const pages = readEnvironmentPages(request, "", readPage);
    for (let nowMs = clock.now(), next = await pages.next(); next.done !== true; next = await pages.next()) {
      if (next.value.kind === "refused") return next.value;
      const row = next.value.rows.find(isWanted);
      if (row !== undefined) return remember(row, nowMs);
      nowMs = clock.now();
    }
    return { kind: "refused", response: problemResponse("connection_not_found") };
  }

  return {
    resolve,
    forget(principal) {
      const start = startOf(principal);
      known.deleteWhere((key) => key.startsWith(start));
    },
  };
}

/** Never across keys: what one caller's credential sees says nothing about another's. */
function startOf({ tenant, keyId }: Principal): string {
  return JSON.stringify([tenant, keyId]);
}

/** The row that the upstream shows of a device; `null` when there is none, or none that can be read. */
async function readDevice(
  deviceId: string,
  request: UpstreamRequest,
  call: CallUpstream,
): Promise<
  | { readonly kind: "read"; readonly row: UpstreamRow | null }
  | { readonly kind: "refused"; readonly response: PlainResponse }
> {
  if (!isIdentifier(deviceId)) return { kind: "read", row: null };
  const { retrieveEnvironment } = endpoints;
  const response = await call(retrieveEnvironment, readRequest(request, retrieveEnvironment, { deviceId }));
  if (response.status === 404) return { kind: "read", row: null };
  return response.status === 200
    ? { kind: "read", row: readUpstreamRow(response.body) }
    : { kind: "refused", response };
}
