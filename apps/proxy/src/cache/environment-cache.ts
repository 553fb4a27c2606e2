import {
  type CacheStore,
  createHttpCache,
  createInProcessCoalescer,
  type HttpCache,
  type MaybePromise,
} from "@letta-environments/http-cache";
import type { Clock, Sha256 } from "@letta-environments/platform";
import type { KnownEndpoint, PlainHeaders, PlainResponse, Principal } from "@letta-environments/schema";
import type { GatewayRequest } from "../gateway-request.ts";
import { createAuthorisationView } from "./authorisation-view.ts";
import { cachePlan } from "./cache-plan.ts";
import { toPlainResponse, toUpstreamAnswer } from "./cached-answer.ts";
import { origin, partitionOf, toCacheTarget } from "./environment-cache-key.ts";

/** A read that may be answered from what was read before. */
export interface CachedRead {
  readonly request: GatewayRequest;
  readonly endpoint: KnownEndpoint;
  readonly params: Readonly<Record<string, string>>;
  readonly query: string;
  readonly principal: Principal;
  /** Reads anew. Called also when nobody waits any longer, and then without a signal. */
  readonly fetch: (signal: AbortSignal | undefined) => Promise<PlainResponse>;
}

/** Answers with environments, kept for a moment. */
export interface EnvironmentCache {
  /** `null` for what is never kept. Synchronous for a hit in a synchronous store. */
  read(read: CachedRead): MaybePromise<PlainResponse> | null;
  /** Ends what shows a device, or a group of answers of a tenant, whoever they were kept for. */
  invalidate(tenant: string, what: InvalidatedAnswers): Promise<void>;
}

/** A device with the lists that show it, the lists alone, or everything of a tenant. */
export type InvalidatedAnswers = { readonly deviceId: string } | { readonly group: "everything" | "lists" };

/** What an {@link EnvironmentCache} is made of. */
export interface EnvironmentCacheOptions {
  readonly store: CacheStore;
  readonly clock: Pick<Clock, "now">;
  readonly sha256: Sha256;
  /** Names the upstream, so that answers of another one are never found. */
  readonly upstream: string;
  /** Whether `Cache-Status` is shown to a principal. */
  readonly showsStatus: (principal: Principal) => boolean;
  readonly onTrouble: (operation: string, cause: unknown) => void;
}

/** Creates an {@link EnvironmentCache}. */
export function createEnvironmentCache(options: EnvironmentCacheOptions): EnvironmentCache {
  const { store, clock, sha256, upstream, showsStatus, onTrouble } = options;
  const cache: HttpCache = createHttpCache({
    store,
    clock,
    coalescer: createInProcessCoalescer({ clock }),
    name: "letta-gateway",
    // What may be kept, and for how long, is said with each answer.
    policy: {
      heuristicFraction: 0,
      staleIfUnreachableMs: 0,
      keepStaleMs: 0,
      targetedFields: [],
      maxBodyBytes: 8_388_608,
    },
    onTrouble,
  });
  const viewOf = createAuthorisationView(sha256);

  return {
    read({ request, endpoint, params, query, principal, fetch }) {
      const windows = cachePlan[endpoint.operation];
      if (windows === undefined) return null;
      const { tenant } = principal;
      const target = toCacheTarget({ upstream, tenant, view: viewOf(principal), endpoint, params, query });
      const groups = groupsOf(params["deviceId"]);
      const answer = cache.handle(
        // Who asks is in the key; the caller's credentials are the gateway's business, not the cache's.
        { ...target, method: "GET", headers: wishesOf(request), isAuthorised: false },
        async ({ signal }) => toUpstreamAnswer(await fetch(signal), windows, groups, sha256),
        { signal: request.signal },
      );
      const shows = showsStatus(principal);
      return answer instanceof Promise
        ? answer.then((late) => toPlainResponse(late, shows))
        : toPlainResponse(answer, shows);
    },
    async invalidate(tenant, what) {
      const target = { url: `${origin}/`, partition: partitionOf(upstream, tenant) };
      const groups = "group" in what ? [what.group] : [lists, deviceGroup(what.deviceId)];
      await Promise.all(groups.map((group) => cache.invalidateGroup(target, group)));
    },
  };
}

const everything = "everything";
const lists = "lists";

function deviceGroup(deviceId: string): string {
  return `device ${deviceId}`;
}

function groupsOf(deviceId: string | undefined): readonly string[] {
  return [everything, deviceId === undefined ? lists : deviceGroup(deviceId)];
}

/** The fields of a request that a cache obeys. */
const wishes = ["cache-control", "pragma", "if-none-match", "if-modified-since"];

function wishesOf(request: GatewayRequest): PlainHeaders {
  const headers: Record<string, string> = {};
  for (const name of wishes) {
    const value = request.header(name);
    if (value !== null) headers[name] = value;
  }
  return headers;
}
