/**
 * The gateway as a part of another Hono app: `/letta/v1/environments` is the gateway with its keys, `/hello` is the app. The services that
 * the gateway needs are values: this app keeps keys in memory, creates one at its start, and passes requests on to a remote environment server.
 *
 * A program outside this repository uses `createGateway` of `@letta-environments/proxy` instead, which opens the services that its settings name.
 */
import { randomBytes } from "node:crypto";
import { constantTimeEqual, hmacSha256Hex, randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";
import { Hono } from "hono";
import { basePath } from "hono/route";
import { createHttpUpstreamFetch } from "../../../apps/proxy/src/adapters/fetch-client.ts";
import { createMemoryIdempotencyStore } from "../../../apps/proxy/src/adapters/memory/idempotency-store.ts";
import { createMemoryKeyStore } from "../../../apps/proxy/src/adapters/memory/key-store.ts";
import { resolveGatewaySettings } from "../../../apps/proxy/src/config/resolve-gateway.ts";
import { createGateway } from "../../../apps/proxy/src/host/gateway.ts";
import { createHostRoutes } from "../../../apps/proxy/src/host/routes.ts";
import { passedRequest } from "../../../apps/proxy/src/host/web/passed-request.ts";
import { createExpiryCheck } from "../../../apps/proxy/src/keys/credential-expiry.ts";
import { createKey, pepperOf } from "../../../apps/proxy/src/keys/key-lifecycle.ts";
import { createPipeline } from "../../../apps/proxy/src/pipeline.ts";
import type { GatewayServices } from "../../../apps/proxy/src/services.ts";
import { parseUpstreamBaseUrl } from "../../../apps/proxy/src/upstream/settings.ts";

/** The environment server behind the gateway. */
export interface Upstream {
  readonly url: string;
  /** The credential that replaces the caller's key. */
  readonly credential: string;
}

/** An app with the gateway in it, and a key for the gateway. */
export interface MountedGateway {
  readonly app: Hono;
  readonly key: string;
}

/** Creates the app. @throws TypeError if the address may not be used, such as `http:` beyond this machine */
export async function createApp(upstream: Upstream): Promise<MountedGateway> {
  const baseUrl = parseUpstreamBaseUrl(upstream.url, false);
  if (!baseUrl.ok) throw new TypeError(`upstream.url ${baseUrl.rule}`);
  const clock = systemClock;
  const digests = { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual };
  const pepper = pepperOf(randomBytes(32), hmacSha256Hex);
  const keyStore = createMemoryKeyStore();
  const minted = createKey(
    {
      name: "first",
      tenant: "default",
      scopes: ["list", "read", "send"],
      deviceIds: null,
      shared: false,
      expiresAt: null,
    },
    clock.now(),
    { digests, pepper, randomBytes },
  );
  await keyStore.create(minted.record);
  const services: GatewayServices = {
    clock,
    digests,
    pepper,
    keyStore,
    randomId,
    hasExpired: createExpiryCheck(clock),
    random: Math.random,
    telemetry: () => undefined,
    upstream: {
      kind: "remote",
      fetch: createHttpUpstreamFetch({ baseUrl: baseUrl.value, maxResponseBytes: 10_000_000, fetch }),
      credentialOf: () => upstream.credential,
      // Repeats are recognised while this process runs.
      idempotencyStore: createMemoryIdempotencyStore(clock),
      maxConcurrent: 64,
    },
    audit: null,
    environmentCache: null,
    rateLimiter: null,
    deviceSockets: null,
  };
  const { settings } = resolveGatewaySettings({ upstream: { maxConcurrentPerTenant: 32 } }, {}, false);
  const pipeline = createPipeline(services, { ...settings, userAgent: "my-app" });
  const gateway = createGateway(pipeline, {
    routes: createHostRoutes({ ...services, addressOf: pipeline.addressOf }),
    toGatewayRequest: (context) => passedRequest(context.req.raw, null, basePath(context)),
  });
  const app = new Hono().get("/hello", (context) => context.text("hello")).route("/letta", gateway);
  return { app, key: minted.key };
}
