/**
 * Finds the device behind the connection that a send names, at a remote server that knows nothing of gateway keys. A connectionId is a row of the
 * tenant's own list, or the send is refused: it is never forwarded unresolved.
 */
import type { Clock } from "@letta-environments/platform";
import { maxTags, type Principal, problemResponse, refused, TagSchema } from "@letta-environments/schema";
import * as v from "valibot";
import { callerGone } from "../http/gateway-request.ts";
import { type BoundedMap, createBoundedMap } from "../lib/bounded-map.ts";
import { type Deadline, neverAborted, runWithDeadline } from "../lib/deadline.ts";
import { createConnectionSearch, type FoundConnection } from "./connection-search.ts";
import {
  type EnvironmentPage,
  maxPages,
  fewAllowedDeviceIds,
  readDevice,
  readEnvironmentPages,
  type UpstreamRow,
} from "./environments.ts";
import type { ReadRemote } from "./remote-call.ts";

/** Maximum age of a row that is used without reading it again, in milliseconds. */
export const maxRowAgeMs = 5_000;

/** A maximum age that makes every look-up read the row again. */
export const alwaysRead = -1;

/** Maximum number of connections that are remembered. The oldest one is forgotten first. */
const maxKnownConnections = 10_000;

/** Maximum number of pages that a search for a connection reads: with 100 rows a page, 50,000 rows. */
export const maxSearchPages = 500;

/** How long a search that several requests share may take, in milliseconds. Each of them waits until its own deadline. */
const searchTimeoutMs = 30_000;

/** How a look-up reads from the remote server. */
export interface LookupReads {
  readonly deadline: Deadline;
  readonly readUntil: (deadline: Deadline) => ReadRemote;
}

/** Finds the rows of connections at a remote server. */
export interface ConnectionLookup {
  /** Finds the row of a connection; a remembered row is used up to `maxAgeMs` milliseconds. */
  find(principal: Principal, connectionId: string, reads: LookupReads, maxAgeMs: number): Promise<FoundConnection>;
  /** Forgets the connections that were found for a principal, and the ids that were not found. */
  forget(principal: Principal): void;
}

type KnownRow = Extract<FoundConnection, { readonly kind: "found" }>;

export interface ConnectionLookupOptions {
  /** Default: {@link maxKnownConnections}. */
  readonly capacity?: number;
  /** Whether requests may wait for what another one reads. */
  readonly sharesSearches: boolean;
}

/**
 * Creates a {@link ConnectionLookup}. A connection is searched for once, and then remembered. An older row is confirmed by reading its device, and
 * searched for again when the device has another connection.
 */
export function createConnectionLookup(
  clock: Clock,
  { capacity = maxKnownConnections, sharesSearches }: ConnectionLookupOptions,
): ConnectionLookup {
  const known: BoundedMap<KnownRow> = createBoundedMap(capacity);
  const search = createConnectionSearch(clock, sharesSearches);

  function remember(key: string, { row, readAtMs }: KnownRow): KnownRow {
    const found: KnownRow = { kind: "found", row: usedMembers(row), readAtMs };
    known.delete(key);
    known.set(key, found);
    return found;
  }

  return {
    async find(principal, connectionId, { deadline, readUntil }, maxAgeMs) {
      const prefix = keyPrefixOf(principal);
      const key = prefix + connectionId;
      const remembered = known.get(key);
      if (remembered !== undefined) {
        const readAtMs = clock.monotonic();
        if (readAtMs - remembered.readAtMs <= maxAgeMs) return remembered;
        const confirmed = await readDevice(remembered.row.deviceId, readUntil(deadline));
        if (confirmed.kind === "refused") return confirmed;
        const { row } = confirmed;
        if (row?.connectionId === connectionId) return remember(key, { kind: "found", row, readAtMs });
        known.delete(key);
      }

      const readPages = (): AsyncGenerator<EnvironmentPage, void> => {
        const own = { atMs: clock.monotonic() + searchTimeoutMs, signal: neverAborted };
        return searchedPages(principal, readUntil(sharesSearches ? own : deadline));
      };
      const outcome = await runWithDeadline(clock, deadline, () => search.find(prefix, connectionId, readPages));
      if (outcome.kind === "caller_gone") return refused(callerGone);
      if (outcome.kind !== "finished") return refused(problemResponse("upstream_timeout"));
      const { result } = outcome;
      return result.kind === "found" ? remember(key, result) : result;
    },
    forget(principal) {
      const prefix = keyPrefixOf(principal);
      known.deleteWhere((key) => key.startsWith(prefix));
      search.forget(prefix);
    },
  };
}

/** The members of a row that look-ups use. The others have no limit but that of a response, so thousands of whole rows would fill the memory. */
function usedMembers({ id, deviceId, connectionName, connectionId, tags, currentMode }: UpstreamRow): UpstreamRow {
  const mode = typeof currentMode === "string" && currentMode.length <= 64 ? currentMode : undefined;
  return { id, deviceId, connectionName, connectionId, tags: keptTags(tags), currentMode: mode };
}

/** Tags that a key can be limited to. */
export function keptTags(tags: unknown): readonly string[] {
  return Array.isArray(tags) ? tags.filter((tag) => v.is(TagSchema, tag)).slice(0, maxTags) : [];
}

/** Rows are never shared between keys: a row that one credential may see says nothing about another. */
function keyPrefixOf({ tenant, keyId }: Principal): string {
  return JSON.stringify([tenant, keyId]);
}

/**
 * Reads the rows that can contain a principal's connection. If the principal may use only a few devices, each of them is read first, because the list
 * can be long. A read shows one row of a device, so a second listener appears only in the list.
 */
async function* searchedPages(principal: Principal, read: ReadRemote): AsyncGenerator<EnvironmentPage, void> {
  const deviceIds = fewAllowedDeviceIds(principal);
  for (const deviceId of deviceIds ?? []) {
    const device = await readDevice(deviceId, read);
    if (device.kind === "refused") return yield { ...device, isAtLimit: false };
    if (device.row !== null) yield { kind: "rows", rows: [device.row] };
  }
  yield* readEnvironmentPages(read, "", deviceIds === null ? maxSearchPages : maxPages);
}
