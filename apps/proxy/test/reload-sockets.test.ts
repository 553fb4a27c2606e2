/** Sockets that stay open while the configuration changes: which of them close, and what the others may do. */
import { createEnvironmentServer } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { openSqlite, randomId, sha256Hex } from "@letta-environments/platform/node";
import type { PlainSocketListener } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createMemoryKeyStore } from "../src/adapters/memory/key-store.ts";
import { createMemoryRateLimitStore } from "../src/adapters/memory/rate-limit-store.ts";
import type { AuditEntry } from "../src/audit/entry.ts";
import { createShadow, type ShadowRule, toShadowSettings } from "../src/auth/shadow.ts";
import { createPermissionRules, type PermissionSettings } from "../src/auth/tenant-guard.ts";
import { resolveRateLimits } from "../src/config/resolve-rate-limits.ts";
import { createExtensions } from "../src/extensions.ts";
import { createExpiryCheck } from "../src/keys/credential-expiry.ts";
import { watchSocketKeys } from "../src/keys/socket-key-watch.ts";
import { createRateLimiter } from "../src/rate-limit/limiter.ts";
import type { ProxyEvent } from "../src/telemetry.ts";
import type { ApprovalPolicies } from "../src/tenants/settings.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { createTestIssuer, testJwtSettings } from "./support/test-issuer.ts";
import { bodyOf, createTestProxy, issueTestKey, problemOf } from "./support/test-proxy.ts";
import { embedServer } from "../src/upstream/embedded.ts";

type Frame = Readonly<Record<string, unknown>>;

const jwt = {
  ...testJwtSettings,
  tenant: "default",
  claims: { ...testJwtSettings.claims, deviceIds: "devices", agentIds: "agents" },
  scopeMap: new Map([["socket", ["view", "send", "connect"] as const]]),
};
const tokenId = `jwt:${sha256Hex(JSON.stringify([jwt.issuer, "user-1"])).slice(0, 32)}`;

interface Configuration extends PermissionSettings {
  readonly sendsPerMinute: number;
  readonly auditContent: boolean;
}

const ordinary: Configuration = { approvals: null, shadow: null, sendsPerMinute: 1_000, auditContent: true };

function denies(...deniedTools: readonly string[]): ApprovalPolicies {
  const policy = { deniedTools, deadlineMs: null };
  return { everybody: null, tenants: new Map([["default", policy]]), keys: new Map() };
}

const shadowed = (...rules: readonly ShadowRule[]) => ({ shadow: toShadowSettings([tokenId], rules) });

/** A gateway with an embedded server, whose pipeline is composed again over the same sockets when the configuration changes. */
async function setUp(started: Partial<Configuration> = {}) {
  const clock = createVirtualClock();
  const issuer = await createTestIssuer();
  const keyStore = createMemoryKeyStore();
  const server = createEnvironmentServer({
    ...{ store: createSqliteEnvironmentStore(openSqlite(":memory:")), clock, sha256: sha256Hex, randomId },
    ...{ podId: "pod", publicUrl: null, settleMs: 0 },
  });
  let settings: Configuration = { ...ordinary, ...started };
  const tenants = new Map();
  const shadowedDevices: string[] = [];
  const deviceSockets = watchSocketKeys(server, {
    clock,
    hasExpired: createExpiryCheck(clock),
    keyStore,
    tenants: () => tenants,
    ...createPermissionRules(() => settings),
    tokenSettings: () => jwt,
    onShadowed: ({ deviceId }) => void shadowedDevices.push(deviceId),
    onFailure: (cause) => expect.unreachable(String(cause)),
  });
  const entries: AuditEntry[] = [];
  const events: ProxyEvent[] = [];
  const localStore = createMemoryRateLimitStore(clock);
  const rateLimiter = createRateLimiter({ store: localStore, localStore, clock, onDegraded: () => undefined });
  const apiExtensions = createExtensions();

  function compose() {
    const { approvals, shadow, sendsPerMinute: limit, auditContent } = settings;
    const sends = { per: ["key" as const], limit, windowMs: 60_000, routes: ["sendMessage" as const] };
    return createTestProxy(undefined, {
      ports: {
        ...{ clock, keyStore, deviceSockets, rateLimiter, apiExtensions },
        telemetry: (event) => void events.push(event),
        audit: { append: (entry) => Promise.resolve(void entries.push(entry)) },
        upstream: embedServer(server),
        fetchJwks: (url, signal) => issuer.fetchJwks(url, signal),
        wrapStep: shadow === null ? undefined : createShadow(shadow, server),
      },
      config: { jwt, approvals, auditContent, rateLimits: resolveRateLimits({ policies: { sends } }, false).settings },
    });
  }
  let present = compose();

  async function open(request: ReturnType<typeof fakeRequest>, onFrame: (frame: Frame) => void = () => undefined) {
    const closes: number[] = [];
    const decision = await present.proxy.upgrade(request);
    if (decision.kind === "refused") throw new Error(problemOf(decision.response).errorCode);
    const listener: PlainSocketListener = decision.attach({
      send: (text) => onFrame(JSON.parse(text) as Frame),
      close: (code) => void closes.push(code),
      terminate: () => void closes.push(1006),
    });
    return { closes, say: (frame: object) => listener.onMessage(JSON.stringify(frame)) };
  }

  /** Connects a device that accepts every message. */
  async function connect(key: string) {
    const body = JSON.stringify({ deviceId: "device-1", connectionName: "box" });
    const registered = await present.proxy.handle(
      fakeRequest({ key, method: "POST", path: "/v1/environments/register", body }),
    );
    const { connectionId } = bodyOf(registered) as { connectionId: string };
    const device = await open(fakeRequest({ key, path: `/v1/environments/${connectionId}/socket` }), (frame) => {
      const { type, request_id } = frame;
      if (type === "input") device.say({ type: "input_accepted", request_id, accepted: true, disposition: "started" });
    });
    return { ...device, connectionId };
  }

  /** Connects a device with its own key, and opens the socket of a viewer. */
  async function watch(key: string) {
    const { connectionId } = await connect((await issueTestKey(keyStore, clock, { scopes: ["connect"] })).key);
    const errors: unknown[] = [];
    const viewer = await open(fakeRequest({ key, path: `/v1/environments/${connectionId}/status/ws` }), (frame) => {
      if (frame["type"] === "error") errors.push(frame["code"]);
    });
    await clock.advance(100);
    let count = 0;
    return {
      closes: viewer.closes,
      errors,
      async send() {
        count += 1;
        const message = { role: "user", content: "private", client_message_id: `m-${count}` };
        const runtime = { agent_id: "agent-1", conversation_id: "default" };
        const payload = { kind: "create_message", messages: [message] };
        viewer.say({ type: "input", request_id: `r-${count}`, runtime, payload });
        await clock.advance(0);
      },
    };
  }

  return {
    ...{ clock, entries, events, keyStore, shadowedDevices, connect, watch },
    sign: (claims: object) =>
      issuer.sign(clock.now(), { claims: { scope: "socket", devices: ["device-1"], ...claims } }),
    /** Changes the configuration, and lets the watch of the sockets notice it. */
    async reload(changes: Partial<Configuration>) {
      settings = { ...settings, ...changes };
      present = compose();
      await clock.advance(100);
    },
  };
}

const agents = ["agent-1"];

test.each<[string, Partial<Configuration>, Partial<Configuration>]>([
  ["an approval policy begins", {}, { approvals: denies("Bash") }],
  ["an approval policy denies fewer tools", { approvals: denies("Bash", "Web*") }, { approvals: denies("Bash") }],
  ["the last approval policy ends", { approvals: denies("Bash") }, { approvals: null }],
  ["shadow mode begins", {}, shadowed("agents")],
  ["shadow mode ends", shadowed("agents"), { shadow: null }],
])(
  "the socket of a viewer with a JWT is closed within 100 ms after %s, and stays open before",
  async (_what, started, changes) => {
    const { sign, watch, reload } = await setUp(started);
    const viewer = await watch(await sign({ agents }));
    await reload({ sendsPerMinute: 2 });
    expect(viewer.closes).toEqual([]);
    await reload(changes);
    expect(viewer.closes).toEqual([1008]);
  },
);

test("the socket of a device outside the allowlist of its JWT stays open in shadow mode, is reported once, and closes when shadow mode ends", async () => {
  const { sign, connect, reload, shadowedDevices, clock } = await setUp(shadowed("devices"));
  const device = await connect(await sign({ agents, devices: ["device-2"] }));
  await clock.advance(100);
  await reload({ sendsPerMinute: 2 });
  expect([device.closes, shadowedDevices]).toEqual([[], ["device-1"]]);
  await reload({ shadow: null });
  expect(device.closes).toEqual([1008]);
});

test("the socket of a device is closed when its approval policy changes, and has the new one when it connects again", async () => {
  const { clock, keyStore, connect, reload } = await setUp({ approvals: denies("Bash") });
  const { key, record } = await issueTestKey(keyStore, clock, { scopes: ["connect"] });
  const device = await connect(key);
  await reload({ sendsPerMinute: 2 });
  expect(device.closes).toEqual([]);
  await keyStore.update(record.id, (old) => ({ ...old, deniedTools: ["Web*"] }));
  await clock.advance(100);
  expect(device.closes).toEqual([1013]);
  const again = await connect(key);
  await clock.advance(100);
  expect(again.closes).toEqual([]);
  await reload({ approvals: denies("Bash", "Write") });
  expect(again.closes).toEqual([1013]);
});

test("messages of an open viewer have the limits and the audit records of the current configuration", async () => {
  const { clock, entries, keyStore, watch, reload } = await setUp();
  const viewer = await watch((await issueTestKey(keyStore, clock, { scopes: ["view", "send"] })).key);
  await viewer.send();
  await reload({ sendsPerMinute: 1, auditContent: false });
  await clock.advance(60_000);
  await viewer.send();
  await viewer.send();
  expect([viewer.closes, viewer.errors]).toEqual([[], ["rate_limited"]]);
  const contents = entries.flatMap((entry) => (entry.type === "send_started" ? [JSON.stringify(entry)] : []));
  expect(contents.map((text) => text.includes("private"))).toEqual([true, false]);
});

test("the log names the restrictions in shadow mode for messages of an open viewer, even after another setting has changed", async () => {
  const { sign, watch, reload, events } = await setUp(shadowed("agents"));
  const viewer = await watch(await sign({ agents: ["agent-2"] }));
  const refusals = () => events.flatMap((event) => (event.type === "request" ? (event.shadowRefusedBy ?? []) : []));
  await viewer.send();
  expect(refusals()).toEqual(["agent_not_allowed"]);
  await reload({ sendsPerMinute: 2 });
  await viewer.send();
  expect([viewer.closes, refusals()]).toEqual([[], ["agent_not_allowed", "agent_not_allowed"]]);
});
