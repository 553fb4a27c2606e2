/**
 * The gateway's cache for lists and environments. Principals that may see the same data share a response. Concurrent misses share one upstream
 * request: if that request fails or its caller disconnects, one of the waiting requests fetches instead.
 */
import {
  type Background,
  type CacheFailure,
  type CacheMode,
  type CacheResult,
  type CacheStore,
  type Coalescer,
  createInProcessCoalescer,
  createResponseCache,
  decodeKey,
  encodeKey,
  type MaybePromise,
  type ReadOptions,
} from "@letta-environments/http-cache";
import type { Clock, Sha256 } from "@letta-environments/platform";
import { buildPath, type Endpoint, type PlainResponse, type Principal } from "@letta-environments/schema";
import { notModified } from "../http/conditions.ts";
import { callerGone, type GatewayRequest, targetOf } from "../http/gateway-request.ts";
import { createBoundedMap } from "../lib/bounded-map.ts";
import { createEntityTagOf, type Fetched, toClientResponse, toFetchedResponse } from "./cached-response.ts";
import type { CacheOutcome } from "../telemetry.ts";
import type { PreparedCall } from "../upstream/upstream.ts";
import { cacheTtls, type EnvironmentCacheScope } from "./policy.ts";

/** A read that the cache may respond to. Responses that were fetched with another credential are not used. */
export interface CachedRead extends Pick<
  PreparedCall,
  "request" | "endpoint" | "params" | "query" | "credential" | "fetch"
> {
  readonly principal: Principal;
}

/** A short-lived cache of list and device responses. */
export interface EnvironmentCache {
  /**
   * Returns `null` for operations that are never cached, and a plain value for a hit in a synchronous store.
   *
   * @param state receives what the cache did
   */
  read(read: CachedRead, state?: { cacheOutcome: CacheOutcome | null }): MaybePromise<PlainResponse> | null;
  /** Invalidates the responses that show a device, or a group of a tenant's responses, for all callers. Never rejects. */
  invalidate(tenant: string, target: InvalidationTarget): Promise<void>;
}

/** A device together with all lists, the lists only, or every response of a tenant. */
export type InvalidationTarget = { readonly deviceId: string } | { readonly group: "everything" | "lists" };

/** The dependencies of an {@link EnvironmentCache}. */
export interface EnvironmentCacheOptions {
  readonly store: CacheStore;
  readonly clock: Pick<Clock, "now">;
  readonly sha256: Sha256;
  /** Receives failures that do not affect responses. */
  readonly onError: (failure: CacheFailure, cause: unknown) => void;
  /** Turns concurrent misses into one upstream request. Default: within this process. */
  readonly coalescer?: Coalescer;
  /** Keeps work alive after the response was sent. Default: the work runs without being kept alive. */
  readonly background?: Background;
}

/** Creates the cache, and returns a function that gives each gateway its view of it. All gateways share the stored responses. */
export function createEnvironmentCache(
  options: EnvironmentCacheOptions,
): (scope: EnvironmentCacheScope) => EnvironmentCache {
  const { store, clock, sha256, onError } = options;
  const coalescer = options.coalescer ?? createInProcessCoalescer({ clock, soloForMs: 1_000, maxSoloKeys: 1_000 });
  const cache = createResponseCache<Fetched>({
    store,
    clock,
    coalescer,
    ...(options.background !== undefined && { background: options.background }),
    name: "letta-gateway",
    maxBodyBytes: 8_388_608,
    onError,
  });
  const audienceOf = createAudienceKey(sha256);
  const entityTagOf = createEntityTagOf(sha256);
  const resources = createBoundedMap<string>(maxResources);

  return ({ upstream, showsStatus }) => ({
    read({ request, endpoint, params, query, principal, credential, fetch }, state) {
      const ttls = cacheTtls[endpoint.operation];
      if (ttls === undefined) return null;
      const { tenant } = principal;
      // The decoded path and query identify the resource, however the caller encoded them.
      const resource = resources.getOrCreate(targetOf(request), () => resourceOf(endpoint, params, query));
      const key = encodeKey([audienceOf(upstream, principal, credential), resource]);
      const options = new RequestOptions(request, () => groupsOf(upstream, tenant, params));
      const result = cache.read(
        key,
        async (signal) => toFetchedResponse(await fetch(signal), ttls, options.groups, entityTagOf),
        options,
      );
      const ifNoneMatch = request.header("if-none-match");
      const present = (settled: CacheResult<Fetched>): PlainResponse => {
        if (state !== undefined) state.cacheOutcome = outcomeOf(settled);
        return notModified(toClientResponse(settled, showsStatus(principal)), ifNoneMatch);
      };
      if (!(result instanceof Promise)) return present(result);
      return result.then(present, (cause: unknown) => {
        if (request.signal.aborted) return callerGone;
        throw cause;
      });
    },
    async invalidate(tenant, target) {
      const groups = "group" in target ? [target.group] : [lists, deviceGroup(target.deviceId)];
      // Failures were reported to `onError`. What is not deleted ends with its TTLs, so nobody has to act on them.
      await Promise.allSettled(groups.map((group) => cache.invalidateGroup(groupKeyOf(upstream, tenant, group))));
    },
  });
}

function outcomeOf({ kind, cacheStatus }: CacheResult<Fetched>): CacheOutcome {
  if (cacheStatus.endsWith("; collapsed") || cacheStatus.includes("; collapsed;")) return "shared";
  if (kind === "fetched") return "miss";
  return cacheStatus.includes("; detail=") ? "stale" : "hit";
}

/** The number of request targets whose resources are remembered. */
const maxResources = 10_000;

/** The options of a read. The signal is opened, and the groups are named, only if the cache fetches. */
class RequestOptions implements ReadOptions {
  readonly cacheMode: CacheMode | null;
  readonly #request: GatewayRequest;
  readonly #nameGroups: () => readonly string[];

  constructor(request: GatewayRequest, nameGroups: () => readonly string[]) {
    this.#request = request;
    this.#nameGroups = nameGroups;
    this.cacheMode = cacheModeOf(request);
  }

  get signal(): AbortSignal {
    return this.#request.signal;
  }

  get groups(): readonly string[] {
    return this.#nameGroups();
  }
}

const everything = "everything";
const lists = "lists";

function deviceGroup(deviceId: string): string {
  return `device ${deviceId}`;
}

function groupsOf(upstream: string, tenant: string, { deviceId }: Readonly<Record<string, string>>): readonly string[] {
  const groups = [everything, deviceId === undefined ? lists : deviceGroup(deviceId)];
  return groups.map((group) => groupKeyOf(upstream, tenant, group));
}

/**
 * Reads the request's `Cache-Control`: `no-cache` and `max-age=0` force a fetch, `no-store` stores nothing. Conditions are evaluated on the response
 * instead, so that callers with and without a tag share one fetch. `only-if-cached` is ignored, because it would reveal what is cached.
 */
function cacheModeOf(request: GatewayRequest): CacheMode | null {
  const cacheControl = request.header("cache-control");
  if (cacheControl === null || isAddedByFetch(request, cacheControl)) return null;
  const directives = cacheControl
    .toLowerCase()
    .split(",")
    .map((directive) => directive.trim());
  if (directives.includes("no-store")) return "no-store";
  return directives.includes("no-cache") || directives.includes("max-age=0") ? "no-cache" : null;
}

/**
 * Whether these are the fields that `fetch` adds by itself to a request with `If-None-Match` (Fetch standard, HTTP-network-or-cache fetch: the request
 * gets the cache mode "no-store", and with this mode `Pragma: no-cache` and `Cache-Control: no-cache`). Node.js does so. They would make every poll with an
 * entity tag an upstream request, although its program only wants to save one.
 */
function isAddedByFetch(request: GatewayRequest, cacheControl: string): boolean {
  return (
    cacheControl === "no-cache" && request.header("pragma") === "no-cache" && request.header("if-none-match") !== null
  );
}

/**
 * Returns a function that computes everything that a cached response depends on besides its resource. If any part were missing, a caller could get a
 * response meant for others. Another credential may belong to another account. The digest of a principal is computed again only for another
 * credential.
 */
function createAudienceKey(
  sha256: Sha256,
): (upstream: string, principal: Principal, credential: string | null) => string {
  const known = new WeakMap<Principal, { upstream: string; credential: string | null; key: string }>();
  return (upstream, principal, credential) => {
    const last = known.get(principal);
    if (last !== undefined && last.upstream === upstream && last.credential === credential) return last.key;
    const parts = [upstream, principal.tenant, visibilityKeyOf(principal, sha256), credential];
    const key = sha256(JSON.stringify(parts));
    known.set(principal, { upstream, credential, key });
    return key;
  };
}

/** Names the resource by its path and the query that is sent to the upstream, including unknown parameters. The order of parameters does not matter. */
function resourceOf(endpoint: Endpoint, params: Readonly<Record<string, string>>, rawQuery: string): string {
  const path = buildPath(endpoint, params);
  if (rawQuery === "") return `${path}?`;
  const query = new URLSearchParams(rawQuery);
  query.sort();
  return `${path}?${query.toString()}`;
}

/** The key of a group of a tenant's responses. It does not contain the visibility, so invalidating it reaches all callers. */
export function groupKeyOf(upstream: string, tenant: string, group: string): string {
  return encodeKey([upstream, tenant, group]);
}

/** Returns the group of all responses of the tenant that a group belongs to. */
export function wholeGroupOf(groupKey: string): string {
  const [upstream = "", tenant = ""] = decodeKey(groupKey);
  return groupKeyOf(upstream, tenant, everything);
}

/**
 * Identifies what a principal can see of its tenant: everything that decides which rows and members it sees, except the tenant, which is a separate
 * part of the cache key. Only principals with the same visibility key share cached responses. When `Principal` gets a new member, decide whether it
 * belongs here.
 */
export function visibilityKeyOf(principal: Principal, sha256: Sha256): string {
  const { deviceIds, connectionNames, deviceTags, tenantDevices, tenantName, scopes, agentIds, maxMode } = principal;
  const sorted = (values: readonly string[] | null | undefined): readonly string[] | null => values?.toSorted() ?? null;
  const visibility = [
    sorted(deviceIds),
    sorted(connectionNames),
    sorted(deviceTags),
    sorted(tenantDevices?.deviceIds),
    sorted(tenantDevices?.connectionNames),
    tenantDevices === undefined || tenantDevices === null,
    tenantName ?? null,
    scopes.has("details"),
    // Rows contain the number of requests for permission that the principal may decide.
    scopes.has("approve") ? [sorted(agentIds), maxMode] : null,
  ];
  return sha256(JSON.stringify(visibility));
}
