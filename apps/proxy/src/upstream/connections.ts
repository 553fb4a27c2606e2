/**
 * Finds the device behind the connection that a send names, at a remote server that knows nothing of gateway keys. A connectionId is a row of the
 * tenant's own list, or the send is refused: it is never forwarded unresolved.
 */
import type { Clock } from "@letta-environments/platform";
import {
  endpoints,
  isIdentifier,
  type PlainResponse,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import { type BoundedMap, createBoundedMap } from "../lib/bounded-map.ts";
import { readEnvironmentPages, readUpstreamRow, type UpstreamRow } from "./environments.ts";
import type { ReadRemote } from "./remote-call.ts";

/** Maximum age of a row that is used without reading it again, in milliseconds. */
export const maxRowAgeMs = 5_000;

/** A maximum age with which every row is read again. */
export const alwaysRead = -1;

/** Maximum number of connections that are remembered. The oldest one is forgotten first. */
export const maxKnownConnections = 10_000;

/** The row of a connection, or the response for the caller. */
export type FoundConnection =
  | { readonly kind: "found"; readonly row: UpstreamRow }
  | { readonly kind: "refused"; readonly response: PlainResponse };

/** See the description of this file. */
export interface ConnectionLookup {
  /** Finds the row of a connection; a remembered row is used up to `maxAgeMs` milliseconds. */
  find(principal: Principal, connectionId: string, read: ReadRemote, maxAgeMs: number): Promise<FoundConnection>;
  /** Forgets the connections that were found for a principal. */
  forget(principal: Principal): void;
}

/**
 * Creates a {@link ConnectionLookup}. A connection is searched for in the list, page by page ({@link readEnvironmentPages}), and then remembered. An
 * older row is confirmed by reading its device, and searched for again when the device has another connection.
 */
export function createConnectionLookup(
  clock: Pick<Clock, "monotonic">,
  capacity: number = maxKnownConnections,
): ConnectionLookup {
  const known: BoundedMap<{ readonly row: UpstreamRow; readonly readAtMs: number }> = createBoundedMap(capacity);

  return {
    async find(principal, connectionId, read, maxAgeMs) {
      const key = keyPrefixOf(principal) + connectionId;
      const isWanted = (row: UpstreamRow): boolean => row.connectionId === connectionId;
      const remember = (row: UpstreamRow, readAtMs: number): FoundConnection => {
        known.delete(key);
        known.set(key, { row, readAtMs });
        return { kind: "found", row };
      };

      const remembered = known.get(key);
      if (remembered !== undefined) {
        const nowMs = clock.monotonic();
        if (nowMs - remembered.readAtMs <= maxAgeMs) return { kind: "found", row: remembered.row };
        const confirmed = await readDevice(remembered.row.deviceId, read);
        if (confirmed.kind === "refused") return confirmed;
        if (confirmed.row !== null && isWanted(confirmed.row)) return remember(confirmed.row, nowMs);
        known.delete(key);
      }

      const pages = readEnvironmentPages(read, "");
      for (let nowMs = clock.monotonic(), next = await pages.next(); next.done !== true; next = await pages.next()) {
        if (next.value.kind === "refused") return next.value;
        const row = next.value.rows.find(isWanted);
        if (row !== undefined) return remember(row, nowMs);
        nowMs = clock.monotonic();
      }
      return { kind: "refused", response: problemResponse("connection_not_found") };
    },
    forget(principal) {
      const prefix = keyPrefixOf(principal);
      known.deleteWhere((key) => key.startsWith(prefix));
    },
  };
}

/** Rows are never shared between keys: a row that one credential may see says nothing about another. */
function keyPrefixOf({ tenant, keyId }: Principal): string {
  return JSON.stringify([tenant, keyId]);
}

/** Reads the row of a device; `null` when there is none, or none that can be used. */
async function readDevice(
  deviceId: string,
  read: ReadRemote,
): Promise<
  | { readonly kind: "read"; readonly row: UpstreamRow | null }
  | { readonly kind: "refused"; readonly response: PlainResponse }
> {
  if (!isIdentifier(deviceId)) return { kind: "read", row: null };
  const response = await read(endpoints.retrieveEnvironment, { deviceId }, "");
  if (response.status === 404) return { kind: "read", row: null };
  return response.status === endpoints.retrieveEnvironment.successStatus
    ? { kind: "read", row: readUpstreamRow(response.body) }
    : { kind: "refused", response };
}
