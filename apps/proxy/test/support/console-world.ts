/** A gateway with the web console, and a page that signs in. */
import { randomBytes } from "node:crypto";
import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { createMemoryRateLimitStore } from "../../src/adapters/memory/rate-limit-store.ts";
import { createSqliteKeyStore } from "../../src/adapters/sqlite/key-store.ts";
import type { ConsoleConfig } from "../../src/console/session-request.ts";
import { createConsoleSessions } from "../../src/console/sessions.ts";
import type { KeyRecord } from "../../src/keys/key-record.ts";
import { createLink } from "../../src/keys/sign-in.ts";
import type { RateLimitSettings } from "../../src/limits/settings.ts";
import { createRateLimiter } from "../../src/rate-limit/limiter.ts";
import { fakeRequest } from "./fake-request.ts";
import { createTestProxy, issueTestKey, testDigests, testMint, testPepper } from "./test-proxy.ts";

export const config: ConsoleConfig = {
  publicUrl: null,
  version: "1.0.0",
  servesDevices: true,
  servesExtensions: true,
  isAdministered: true,
  deviceVersion: "0.32.18",
};

/** The headers of the console's own page on loopback. */
export const own = { host: "127.0.0.1:8787", origin: "http://127.0.0.1:8787", "sec-fetch-site": "same-origin" };
export const json = { "content-type": "application/json" };

export function setUp(
  overrides: Partial<ConsoleConfig> = {},
  rateLimits: RateLimitSettings | null = null,
  gateway: { readonly passThrough?: boolean; readonly operatorToken?: string } = {},
) {
  const clock = createVirtualClock();
  const keyStore = createSqliteKeyStore(openSqlite(":memory:"), clock);
  const consoleSessions = createConsoleSessions(
    {
      ...{ clock, digests: testDigests, keyStore, pepper: testPepper, randomBytes, keyStoreFor: () => keyStore },
      telemetry: (event) => void world.events.push(event),
    },
    { ...config, ...overrides },
  );
  const store = createMemoryRateLimitStore(clock);
  const rateLimiter = createRateLimiter({ store, localStore: store, clock, onDegraded: () => undefined });
  const world = createTestProxy(undefined, {
    ports: { clock, keyStore, consoleSessions, rateLimiter },
    config: { ...gateway, ...(rateLimits !== null && { rateLimits }) },
  });

  async function call(method: string, path: string, headers: Readonly<Record<string, string>>, body?: unknown) {
    const request = fakeRequest({ method, path, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
    return world.proxy.handle(request);
  }

  async function signIn(credential: object, headers: Readonly<Record<string, string>> = own) {
    const response = await call("POST", "/console/session", { ...headers, ...json }, credential);
    return { response, cookie: /^[^;]*/.exec(response.headers["set-cookie"] ?? "")?.[0] ?? "" };
  }

  async function createSignInLink(scopes: KeyRecord["scopes"] = ["list", "admin"]): Promise<string> {
    const minted = createLink({ name: "console", tenant: "default", scopes }, clock.now(), testMint);
    await keyStore.create(minted.record);
    return minted.key;
  }

  const issueKey = (request: Parameters<typeof issueTestKey>[2] = {}) => issueTestKey(keyStore, clock, request);
  const list = async (cookie: string, headers: Readonly<Record<string, string>> = own): Promise<number> =>
    (await call("GET", "/v1/environments", { ...headers, cookie })).status;
  return { ...world, clock, keyStore, call, signIn, createSignInLink, issueKey, list };
}
