import {
  type AnswerCache,
  type Background,
  type CacheStore,
  type Coalescer,
  createAnswerCache,
  createInProcessCoalescer,
  type GivenAnswer,
  type MaybePromise,
} from "@letta-environments/http-cache";
import type { Clock, Sha256 } from "@letta-environments/platform";
import type { KnownEndpoint, PlainResponse, Principal } from "@letta-environments/schema";
import { createBoundedMap } from "../lib/bounded-map.ts";
import { callerGone } from "../http/gateway-request.ts";
import type { GatewayRequest } from "../http/gateway-request.ts";
import { createAuthorisationView } from "./authorisation-view.ts";
import { cachePlan } from "./cache-plan.ts";
import { notModified, toAskedAnswer, toPlainResponse } from "./cached-answer.ts";
import { cacheKeyOf, groupKeyOf } from "./environment-cache-key.ts";

/** A read that may be answered from what was read before. */
export interface CachedRead {
  readonly request: GatewayRequest;
  readonly endpoint: KnownEndpoint;
  readonly params: Readonly<Record<string, string>>;
  readonly query: string;
  readonly principal: Principal;
  /** With what the upstream is asked; what was read with another one is not found. `null` for nothing. */
  readonly credential: string | null;
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
  readonly onTrouble: (operation: string, cause: unknown) => void;
  /** Makes one upstream request of many at once; absent: within this process. */
  readonly coalescer?: Coalescer;
  /** Keeps work alive that outlasts an answer; absent: it is left to run. */
  readonly background?: Background;
}

/** For whom the cache is asked. What was begun under other settings keeps those. */
export interface EnvironmentCacheUse {
  /** Names the upstream that is read, so that answers of another one are never found. */
  readonly upstream: string;
  /** Whether `Cache-Status` is shown to a principal. */
  readonly showsStatus: (principal: Principal) => boolean;
}

/** Creates what gives an {@link EnvironmentCache} for each gateway that is composed; all of them keep their answers together. */
export function createEnvironmentCache(
  options: EnvironmentCacheOptions,
): (use: EnvironmentCacheUse) => EnvironmentCache {
  const { store, clock, sha256, onTrouble } = options;
  const coalescer = options.coalescer ?? createInProcessCoalescer({ clock, soloForMs: 1_000, maxSoloKeys: 1_000 });
  const cache: AnswerCache<PlainResponse> = createAnswerCache({
    store,
    clock,
    coalescer,
    ...(options.background !== undefined && { background: options.background }),
    name: "letta-gateway",
    maxBodyBytes: 8_388_608,
    onTrouble,
  });
  const viewOf = createAuthorisationView(sha256);
  const digests = createBoundedMap<string>(maxCredentials);

  function digestOf(credential: string | null): string {
    if (credential === null) return "none";
    let digest = digests.get(credential);
    if (digest === undefined) {
      digest = sha256(credential);
      digests.set(credential, digest);
    }
    return digest;
  }

  return ({ upstream, showsStatus }) => ({
    read({ request, endpoint, params, query, principal, credential, fetch }) {
      const windows = cachePlan[endpoint.operation];
      if (windows === undefined) return null;
      const { tenant } = principal;
      const view = viewOf(principal);
      const key = cacheKeyOf({ upstream, tenant, view, credential: digestOf(credential), endpoint, params, query });
      const answer = cache.read(
        key,
        async (signal) => toAskedAnswer(await fetch(signal), windows, groupsOf(upstream, tenant, params), sha256),
        { signal: request.signal, wish: wishOf(request) },
      );
      const ifNoneMatch = request.header("if-none-match");
      const present = (given: GivenAnswer<PlainResponse>): PlainResponse =>
        notModified(toPlainResponse(given, showsStatus(principal)), ifNoneMatch);
      if (!(answer instanceof Promise)) return present(answer);
      return answer.then(present, (cause: unknown) => {
        if (request.signal.aborted) return callerGone;
        throw cause;
      });
    },
    async invalidate(tenant, what) {
      const groups = "group" in what ? [what.group] : [lists, deviceGroup(what.deviceId)];
      await Promise.all(groups.map((group) => cache.invalidateGroup(groupKeyOf(upstream, tenant, group))));
    },
  });
}

/** Credentials whose digests are remembered. */
const maxCredentials = 1_000;

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
 * What of a caller's wishes the cache is told: to ask the upstream, or to keep nothing. Conditions are judged on the answer, so that one request
 * serves those with a tag and those without; whether something is kept (`only-if-cached`) is not theirs to ask.
 */
function wishOf(request: GatewayRequest): "no-cache" | "no-store" | null {
  const cacheControl = request.header("cache-control")?.toLowerCase() ?? "";
  const directives = cacheControl.split(",").map((directive) => directive.trim());
  if (directives.includes("no-store")) return "no-store";
  return directives.includes("no-cache") || directives.includes("max-age=0") ? "no-cache" : null;
}
