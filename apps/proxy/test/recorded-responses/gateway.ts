/**
 * The gateway under a recording: composed in process, on a clock that stands still and with counted ids, in front of a scripted remote server or of
 * the embedded one. Everything that the recording knows about the gateway's modules is in this file.
 */
import { createEnvironmentServer } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { createMemoryCacheStore } from "@letta-environments/http-cache";
import { openSqlite, sha256Hex } from "@letta-environments/platform/node";
import type { PlainResponse, PlainSocketListener } from "@letta-environments/schema";
import { createVirtualClock, type VirtualClock } from "@letta-environments/testkit";
import { createMemoryIdempotencyStore } from "../../src/adapters/memory/idempotency-store.ts";
import { createMemoryRateLimitStore } from "../../src/adapters/memory/rate-limit-store.ts";
import { loadOpenApi } from "../../src/adapters/open-api.ts";
import { createHostGuard } from "../../src/admin/admission.ts";
import { createEnvironmentCache } from "../../src/cache/environment-cache.ts";
import type { RateLimitsFile } from "../../src/config/file.ts";
import { resolveRateLimits } from "../../src/config/resolve-rate-limits.ts";
import type { TenantSettings } from "../../src/tenants/settings.ts";
import { createGatewayApp } from "../../src/host/gateway.ts";
import { createHostRoutes } from "../../src/host/routes.ts";
import type { GatewayRequest } from "../../src/http/gateway-request.ts";
import type { IdempotencyStore } from "../../src/idempotency/store.ts";
import { createKey, type KeyRequest } from "../../src/keys/key-lifecycle.ts";
import type { UpstreamFetch } from "../../src/ports.ts";
import { createRateLimiter } from "../../src/rate-limit/limiter.ts";
import { silentReporting } from "../support/host-reporting.ts";
import { createTestIssuer, type TestIssuer, testJwtSettings } from "../support/test-issuer.ts";
import { createTestProxy, testMint } from "../support/test-proxy.ts";
import { embedServer } from "../../src/upstream/embedded.ts";

/** The composition of a gateway for a topic. Absent members are off. */
export interface GatewayOptions {
  readonly upstream: "embedded" | UpstreamFetch;
  readonly jwt?: boolean;
  readonly passThrough?: boolean;
  readonly corsOrigins?: readonly string[];
  readonly tenants?: ReadonlyMap<string, TenantSettings>;
  readonly rateLimits?: RateLimitsFile;
  readonly cache?: boolean;
  /** Administration on its own listener, with {@link operatorToken}. */
  readonly adminListener?: boolean;
  /** Administration on the main listener with {@link operatorToken}. */
  readonly mainOperator?: boolean;
  readonly upstreamTimeoutMs?: number;
}

export const operatorToken = "operator-token-of-a-recording-0123456789";

/** A gateway, and the functions with which the requests of a topic change its environment. */
export interface RecordedGateway {
  readonly clock: VirtualClock;
  issueKey(request: Partial<KeyRequest>): Promise<{ readonly key: string; readonly record: { readonly id: string } }>;
  readonly issuer: TestIssuer;
  handle(request: GatewayRequest): Promise<PlainResponse>;
  handleAdmin(request: GatewayRequest): Promise<PlainResponse>;
  /** The response of a refused upgrade. An accepted one is 101, and its socket belongs to {@link device}. */
  upgrade(request: GatewayRequest): Promise<PlainResponse>;
  /** The device on the other end of accepted upgrades. */
  readonly device: ScriptedDevice;
  isDraining: boolean;
}

/** A device whose acknowledgements a topic decides. */
export interface ScriptedDevice {
  /** Members of the acknowledgement; `null` says nothing. */
  acknowledgement: Readonly<Record<string, unknown>> | null;
  /** Sends a frame to the server. */
  send(frame: object): void;
  close(): void;
  /** Frames of the server, without ids. */
  readonly received: unknown[];
}

/** A store of sends that is empty for each request, so that topics can use an id several times. */
function createForgetfulStore(clock: VirtualClock): { readonly store: IdempotencyStore; readonly forget: () => void } {
  let current = createMemoryIdempotencyStore(clock);
  return {
    store: {
      reserve: (reservation) => current.reserve(reservation),
      find: (scope, ids) => current.find(scope, ids),
      settle: (reservation, result) => current.settle(reservation, result),
      release: (reservation) => current.release(reservation),
      findConnection: (tenant, connectionId) => current.findConnection(tenant, connectionId),
    },
    forget: () => void (current = createMemoryIdempotencyStore(clock)),
  };
}

/** Composes a {@link RecordedGateway}. */
export async function openGateway(options: GatewayOptions): Promise<RecordedGateway> {
  const clock = createVirtualClock();
  const randomId = countedIds();
  const randomBytes = countedBytes();
  const issuer = await createTestIssuer();
  const server = createEnvironmentServer({
    store: createSqliteEnvironmentStore(openSqlite(":memory:")),
    clock,
    sha256: sha256Hex,
    randomId,
    podId: "pod-of-a-recording",
    publicUrl: null,
    settleMs: 0,
  });
  const isEmbedded = options.upstream === "embedded";
  const cache = createEnvironmentCache({
    store: createMemoryCacheStore({ clock }),
    clock,
    sha256: sha256Hex,
    onError: (_operation, cause) => {
      throw cause;
    },
  })({ upstream: "upstream", showsStatus: ({ scopes }) => scopes.has("details") });
  const store = createMemoryRateLimitStore(clock);
  const limiter = createRateLimiter({ store, localStore: store, clock, onDegraded: () => undefined });
  const { store: idempotencyStore, forget } = createForgetfulStore(clock);
  const testProxy = createTestProxy(options.upstream === "embedded" ? undefined : options.upstream, {
    remote: { idempotencyStore },
    ports: {
      ...(isEmbedded && { upstream: embedServer(server) }),
      clock,
      randomId,
      environmentCache: options.cache === true ? cache : null,
      rateLimiter: options.rateLimits === undefined ? null : limiter,
      deviceSockets: isEmbedded ? server : null,
      fetchJwks: issuer.fetchJwks,
      admin: { randomBytes, keyStoreFor: () => testProxy.keyStore },
    },
    config: {
      ...(options.jwt === true && { jwt: testJwtSettings }),
      passThrough: options.passThrough === true,
      corsOrigins: options.corsOrigins ?? [],
      ...(options.tenants !== undefined && { tenants: options.tenants }),
      ...(options.rateLimits !== undefined && { rateLimits: resolveRateLimits(options.rateLimits, false).settings }),
      ...(options.adminListener === true && {
        adminListener: { token: operatorToken, guard: createHostGuard(["admin.example"]) },
      }),
      ...(options.mainOperator === true && { operatorToken }),
      upstreamTimeoutMs: options.upstreamTimeoutMs ?? 30_000,
    },
  });
  const { device, attach } = scriptDevice();
  const gateway: RecordedGateway = {
    clock,
    issuer,
    device,
    isDraining: false,
    async issueKey(request) {
      // Keys are listed by the time of their creation.
      await clock.advance(1);
      const keyRequest = { name: "test", tenant: "default", scopes: ["list", "read", "send"], ...request } as const;
      const minted = createKey(keyRequest, clock.now(), { ...testMint, randomBytes });
      await testProxy.keyStore.create(minted.record);
      return minted;
    },
    async handle(request) {
      forget();
      const host: HostBindings = { request, response: null };
      await app.fetch(new Request("http://gateway.example/", { method: request.method }), host);
      if (host.response === null) throw new Error("the gateway did not respond");
      return host.response;
    },
    handleAdmin: (request) => testProxy.proxy.handleAdmin(request),
    async upgrade(request) {
      const decision = await testProxy.proxy.upgrade(request);
      if (decision.kind === "refused") return decision.response;
      attach(decision.attach);
      return { status: 101, headers: {}, body: null };
    },
  };
  const app = createGatewayApp<HostBindings>(testProxy.proxy, {
    routes: createHostRoutes({
      ...silentReporting,
      randomId,
      isDraining: () => gateway.isDraining,
      openApi: loadOpenApi,
    }),
    toGatewayRequest: ({ env }) => env.request,
    toPath: (_request, context) => context?.env?.request.path ?? "",
    toResponse(response, { env }) {
      env.response = response;
      return new Response(null);
    },
  });
  return gateway;
}

interface HostBindings {
  readonly request: GatewayRequest;
  response: PlainResponse | null;
}

/** Ids that tell their kind and their number. */
function countedIds(): (prefix: string) => string {
  const counts = new Map<string, number>();
  return (prefix) => {
    const count = (counts.get(prefix) ?? 0) + 1;
    counts.set(prefix, count);
    return `${prefix}-${String(count).padStart(4, "0")}`;
  };
}

/** Bytes that differ from call to call and are the same in every run. */
function countedBytes(): (byteLength: number) => Uint8Array {
  let count = 0;
  return (byteLength) => {
    count += 1;
    const hex = sha256Hex(String(count)).repeat(Math.ceil(byteLength / 32));
    return Uint8Array.from(Buffer.from(hex.slice(0, byteLength * 2), "hex"));
  };
}

type Attach = (socket: {
  send(text: string): void;
  close(code: number, reason: string): void;
  terminate(): void;
}) => PlainSocketListener;

function scriptDevice(): { readonly device: ScriptedDevice; readonly attach: (attach: Attach) => void } {
  let listener: PlainSocketListener | null = null;
  const device: ScriptedDevice = {
    acknowledgement: { accepted: true, disposition: "started" },
    received: [],
    send: (frame) => listener?.onMessage(JSON.stringify(frame)),
    close: () => listener?.onClose(1_005),
  };
  return {
    device,
    attach(open) {
      const opened = open({
        send(text) {
          const frame = JSON.parse(text) as { readonly type: string; readonly request_id: string };
          if (frame.type !== "input") return;
          device.received.push(frame);
          const { acknowledgement } = device;
          if (acknowledgement === null) return;
          const answer = { type: "input_accepted", request_id: frame.request_id, ...acknowledgement };
          queueMicrotask(() => opened.onMessage(JSON.stringify(answer)));
        },
        close: () => undefined,
        terminate: () => undefined,
      });
      listener = opened;
    },
  };
}
