/** Devices that connect with a JWT instead of a gateway key: their sockets live as long as the token that opened them. */
import { createEnvironmentServer } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { openSqlite, randomId, sha256Hex } from "@letta-environments/platform/node";
import type { DeviceAllowlist, UpgradeDecision } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createMemoryKeyStore } from "../src/adapters/memory/key-store.ts";
import type { JwtSettings } from "../src/auth/jwt-settings.ts";
import { createExpiryCheck } from "../src/keys/credential-expiry.ts";
import { watchSocketKeys } from "../src/keys/socket-key-watch.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { createTestIssuer, testJwtSettings } from "./support/test-issuer.ts";
import { bodyOf, createTestProxy, issueTestKey } from "./support/test-proxy.ts";
import { embedServer } from "../src/upstream/embedded.ts";

const jwt: JwtSettings = { ...testJwtSettings, scopeMap: new Map([["devices", ["connect"]]]) };
/** After the `exp` of a token: the tolerance for clocks, and the documented 100 ms. */
const latestCloseMs = jwt.clockToleranceMs + 100;

/** A gateway over the embedded server that accepts tokens of a test issuer. */
async function setUp() {
  const clock = createVirtualClock();
  const issuer = await createTestIssuer();
  const keyStore = createMemoryKeyStore();
  const server = createEnvironmentServer({
    store: createSqliteEnvironmentStore(openSqlite(":memory:")),
    clock,
    sha256: sha256Hex,
    randomId,
    podId: "pod",
    publicUrl: null,
    settleMs: 0,
  });
  const rules = { tenants: new Map<string, DeviceAllowlist>(), tokens: jwt as JwtSettings | null };
  const failures: unknown[] = [];
  const deviceSockets = watchSocketKeys(server, {
    clock,
    hasExpired: createExpiryCheck(clock),
    keyStore,
    tenants: () => rules.tenants,
    tokenSettings: () => rules.tokens,
    onFailure: (cause) => void failures.push(cause),
  });
  const { proxy } = createTestProxy(undefined, {
    ports: {
      clock,
      keyStore,
      deviceSockets,
      fetchJwks: (url, signal) => issuer.fetchJwks(url, signal),
      upstream: embedServer(server),
    },
    config: { jwt },
  });

  async function sign(lifetimeMs: number, claims: object = {}): Promise<string> {
    const exp = Math.floor((clock.now() + lifetimeMs) / 1_000);
    return issuer.sign(clock.now(), { claims: { scope: "devices", exp, ...claims } });
  }

  /** Registers a device, opens its socket and returns the codes with which the socket was closed. */
  async function connect(token: string, deviceId = "device-1"): Promise<number[]> {
    const body = JSON.stringify({ deviceId, connectionName: deviceId });
    const registered = await proxy.handle(
      fakeRequest({ key: token, method: "POST", path: "/v1/environments/register", body }),
    );
    expect(registered.status).toBe(200);
    const { connectionId } = bodyOf(registered) as { connectionId: string };
    const decision: UpgradeDecision = await proxy.upgrade(
      fakeRequest({ key: token, path: `/v1/environments/${connectionId}/socket` }),
    );
    if (decision.kind === "refused") throw new Error(String(decision.response.body));
    const closes: number[] = [];
    const listener = decision.attach({
      send: () => undefined,
      close: (code) => void closes.push(code),
      terminate: () => void closes.push(1006),
    });
    heartbeats.push(() => listener.onMessage(JSON.stringify({ type: "ping" })));
    return closes;
  }

  const heartbeats: (() => void)[] = [];
  /** Moves the clock while the devices send their heartbeats. */
  async function pass(durationMs: number): Promise<void> {
    for (let leftMs = durationMs; leftMs > 0; leftMs -= 30_000) {
      for (const beat of heartbeats) beat();
      await clock.advance(Math.min(leftMs, 30_000));
    }
  }
  return { keyStore, rules, failures, sign, connect, pass };
}

test("the socket of a device with a token stays open until the token expires, then it is closed within 100 ms", async () => {
  const { sign, connect, pass, failures } = await setUp();
  const closes = await connect(await sign(600_000));
  await pass(600_000 + jwt.clockToleranceMs - 1);
  expect([closes, failures]).toEqual([[], []]);
  await pass(101);
  expect(closes).toEqual([1008]);
});

test("a socket belongs to the token that opened it, although a renewed token has the same key id", async () => {
  const { sign, connect, pass } = await setUp();
  const old = await connect(await sign(60_000), "device-1");
  const renewed = await connect(await sign(600_000), "device-2");
  await pass(60_000 + latestCloseMs);
  expect([old, renewed]).toEqual([[1008], []]);
});

test("a change of gateway keys does not close the socket of a device with a token", async () => {
  const { sign, connect, pass, keyStore } = await setUp();
  const closes = await connect(await sign(600_000));
  await issueTestKey(keyStore, createVirtualClock());
  await pass(1_000);
  expect(closes).toEqual([]);
});

test("the socket of a device with a token is closed within 100 ms after its tenant is restricted to other devices", async () => {
  const { sign, connect, pass, rules } = await setUp();
  const closes = await connect(await sign(600_000));
  rules.tenants = new Map([["t1", { deviceIds: ["device-2"], connectionNames: null }]]);
  await pass(100);
  expect(closes).toEqual([1008]);
});

test("the socket of a device with a token is closed within 100 ms after the settings accept other tokens or none", async () => {
  const { sign, connect, pass, rules } = await setUp();
  const closes = await connect(await sign(600_000));
  rules.tokens = { ...jwt, scopeMap: new Map(jwt.scopeMap) };
  await pass(100);
  expect(closes).toEqual([]);
  rules.tokens = null;
  await pass(100);
  expect(closes).toEqual([1008]);
});
