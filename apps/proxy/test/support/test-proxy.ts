import { randomBytes } from "node:crypto";
import type { Clock } from "@letta-environments/platform";
import { constantTimeEqual, hmacSha256Hex, openSqlite, randomId, sha256Hex } from "@letta-environments/platform/node";
import { jsonResponse, type PlainResponse, type Problem } from "@letta-environments/schema";
import { createVirtualClock, type VirtualClock } from "@letta-environments/testkit";
import { createMemoryIdempotencyStore } from "../../src/adapters/memory/idempotency-store.ts";
import { createSqliteKeyStore } from "../../src/adapters/sqlite/key-store.ts";
import { resolveGatewaySettings } from "../../src/config/resolve-gateway.ts";
import { createExtensions } from "../../src/extensions.ts";
import { createPipeline, type Pipeline } from "../../src/pipeline.ts";
import { createExpiryCheck } from "../../src/keys/credential-expiry.ts";
import { createKey, type KeyMint, type KeyRequest } from "../../src/keys/key-lifecycle.ts";
import type { KeyRecord } from "../../src/keys/key-record.ts";
import type { Digests, KeyStore, Pepper, UpstreamFetch, UpstreamRequest } from "../../src/ports.ts";
import type { GatewayRequest } from "../../src/http/gateway-request.ts";
import type { GatewayServices } from "../../src/services.ts";
import type { GatewayConfig } from "../../src/services.ts";
import type { ProxyEvent } from "../../src/telemetry.ts";
import { knownConnections } from "./known-connections.ts";

export const testPepper: Pepper = { id: "pepper-1", secret: new Uint8Array(32).fill(7) };
export const testDigests: Digests = { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual };
export const testMint: KeyMint = { digests: testDigests, pepper: testPepper, randomBytes };

/** A pipeline whose functions always return a promise. */
export type AsyncPipeline = Pick<Pipeline, "decorate" | "refuse" | "addressOf"> & {
  readonly [Name in Exclude<keyof Pipeline, "decorate" | "refuse" | "addressOf">]: (
    request: GatewayRequest,
  ) => Promise<Awaited<ReturnType<Pipeline[Name]>>>;
};

/** A proxy over fake ports, with everything a test looks at. */
export interface TestProxy {
  readonly proxy: AsyncPipeline;
  readonly clock: VirtualClock;
  readonly keyStore: KeyStore;
  readonly events: ProxyEvent[];
  /** The requests that reached the upstream. */
  readonly upstreamRequests: UpstreamRequest[];
  issueKey(request?: Partial<KeyRequest>): Promise<{ readonly key: string; readonly record: KeyRecord }>;
}

type RemoteServer = Extract<GatewayServices["upstream"], { readonly kind: "remote" }>;

export const upstreamCredential = "sk-upstream-credential";

/** An upstream that lists nothing and accepts every message. */
export const emptyUpstream: UpstreamFetch = ({ method }) =>
  Promise.resolve(
    jsonResponse(200, method === "POST" ? { success: true, message: "ok" } : { connections: [], hasNextPage: false }),
  );

/** Composes a proxy in front of a fake HTTP upstream. The default upstream has no environments and accepts messages. */
export function createTestProxy(
  upstream: UpstreamFetch = knownConnections(emptyUpstream),
  overrides: {
    readonly ports?: Partial<GatewayServices>;
    readonly config?: Partial<GatewayConfig>;
    readonly createAdminEndpoints?: Parameters<typeof createPipeline>[2];
    readonly remote?: Partial<
      Pick<RemoteServer, "credentialOf" | "admitsTenant" | "idempotencyStore" | "isStoreVolatile" | "isolatesRequests">
    >;
  } = {},
): TestProxy {
  const clock = createVirtualClock();
  const keyStore = createSqliteKeyStore(openSqlite(":memory:"), clock);
  const events: ProxyEvent[] = [];
  const upstreamRequests: UpstreamRequest[] = [];
  const ports: GatewayServices = {
    clock,
    digests: testDigests,
    hasExpired: createExpiryCheck(overrides.ports?.clock ?? clock),
    keyStore,
    pepper: testPepper,
    // Retries follow at once.
    random: () => 0,
    randomId,
    telemetry: (event) => void events.push(event),
    upstream: {
      kind: "remote",
      fetch(request, signal) {
        upstreamRequests.push(request);
        return upstream(request, signal);
      },
      credentialOf: () => upstreamCredential,
      idempotencyStore: createMemoryIdempotencyStore(overrides.ports?.clock ?? clock),
      maxConcurrent: 256,
      ...overrides.remote,
    },
    audit: null,
    environmentCache: null,
    rateLimiter: null,
    deviceSockets: null,
    apiExtensions: createExtensions(),
    admin: { randomBytes, keyStoreFor: () => overrides.ports?.keyStore ?? keyStore },
    ...overrides.ports,
  };
  const { settings } = resolveGatewaySettings({ rateLimits: { enabled: false } }, {}, false);
  const config = { ...settings, userAgent: "test-proxy", ...overrides.config };
  const pipeline = createPipeline(ports, config, overrides.createAdminEndpoints);
  const proxy: AsyncPipeline = {
    handle: async (request) => pipeline.handle(request),
    handleAdmin: async (request) => pipeline.handleAdmin(request),
    upgrade: async (request) => pipeline.upgrade(request),
    decorate: pipeline.decorate,
    refuse: pipeline.refuse,
    addressOf: pipeline.addressOf,
  };
  const issueKey: TestProxy["issueKey"] = (request) => issueTestKey(keyStore, clock, request);
  return { proxy, clock, keyStore, events, upstreamRequests, issueKey };
}

/** Creates a key, by default with the scopes list, read and send. */
export async function issueTestKey(
  keyStore: KeyStore,
  clock: Pick<Clock, "now">,
  request: Partial<KeyRequest> = {},
): Promise<{ readonly key: string; readonly record: KeyRecord }> {
  const minted = createKey(
    {
      name: "test",
      tenant: "default",
      scopes: ["list", "read", "send"],
      deviceIds: null,
      shared: false,
      expiresAt: null,
      ...request,
    },
    clock.now(),
    testMint,
  );
  await keyStore.create(minted.record);
  return minted;
}

/** The body of a response as JSON. */
export function bodyOf(response: PlainResponse): unknown {
  return JSON.parse(
    typeof response.body === "string" ? response.body : new TextDecoder().decode(response.body ?? undefined),
  );
}

/** The problem that a response is. */
export function problemOf(response: PlainResponse): Problem {
  return bodyOf(response) as Problem;
}
