/** Random requests with random keys to an embedded environment server, compared with a model of the access rules. */
import { createEnvironmentServer } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { openSqlite, randomId, sha256Hex } from "@letta-environments/platform/node";
import type { Environment, PlainResponse, PlainSocketListener } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { KeyRecord } from "../src/keys/key-record.ts";
import * as model from "./support/access-model.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { bodyOf, createTestProxy } from "./support/test-proxy.ts";
import { embedServer } from "../src/upstream/embedded.ts";

interface EmbeddedDevice extends model.ModelDevice {
  /** `null`: of no key. */
  readonly ownerKeyId: string | null;
  connectionId: string;
  registeredBy: string;
  listener: PlainSocketListener | null;
}

const tenants = ["one", "two"];
const step = fc.record({
  // Devices have to be there before anything can be done to them.
  kind: fc.constantFrom(
    "list",
    "read",
    "send",
    "send",
    "send",
    "register",
    "register",
    "upgrade",
    "upgrade",
    "mode",
    "label",
  ),
  key: fc.nat(3),
  device: fc.nat(5),
  deviceId: fc.constantFrom(...model.deviceIds),
  suffix: fc.constantFrom(...model.suffixes),
  agentId: fc.constantFrom(null, ...model.agentIds),
  limit: fc.integer({ min: 1, max: 3 }),
  currentMode: model.anyMode,
});

/** The embedded server behind a proxy, and the state of its devices. */
function createWorld() {
  const clock = createVirtualClock();
  const server = createEnvironmentServer({
    store: createSqliteEnvironmentStore(openSqlite(":memory:")),
    clock,
    sha256: sha256Hex,
    randomId,
    podId: model.hiddenMark,
    publicUrl: null,
    settleMs: 0,
  });
  const testProxy = createTestProxy(undefined, {
    ports: { clock, deviceSockets: server, upstream: embedServer(server) },
  });
  const devices: EmbeddedDevice[] = [];
  const sent: { readonly device: EmbeddedDevice; readonly agentId: string | null }[] = [];

  async function register(key: string, record: KeyRecord, deviceId: string, connectionName: string): Promise<boolean> {
    const { tenant } = record;
    const metadata = { gitBranch: model.markOf({ tenant, deviceId }) };
    const body = JSON.stringify({ deviceId, connectionName, metadata });
    const response = await testProxy.proxy.handle(
      fakeRequest({ key, method: "POST", path: "/v1/environments/register", body }),
    );
    if (response.status !== 200) return false;
    const { connectionId } = bodyOf(response) as { connectionId: string };
    const known = devices.find((device) => device.tenant === tenant && device.deviceId === deviceId);
    if (known !== undefined) Object.assign(known, { connectionName, connectionId, registeredBy: record.id });
    else {
      const ownerKeyId = record.shared ? null : record.id;
      const device = { tenant, deviceId, connectionName, connectionId, ownerKeyId, currentMode: null };
      devices.push({ ...device, registeredBy: record.id, listener: null });
    }
    return true;
  }

  async function open(key: string, device: EmbeddedDevice): Promise<boolean> {
    const path = `/v1/environments/${device.connectionId}/socket`;
    const decision = await testProxy.proxy.upgrade(fakeRequest({ key, path }));
    if (decision.kind === "refused") return false;
    const listener = decision.attach({
      send(text) {
        const frame = JSON.parse(text) as { type: string; request_id: string; runtime: { agent_id: string | null } };
        // A mode without a name in the API stands for one that was not reported.
        if (frame.type === "sync") listener.onMessage(statusText(frame.runtime, device.currentMode ?? "newer"));
        if (frame.type !== "input") return;
        sent.push({ device, agentId: frame.runtime.agent_id });
        const answer = { type: "input_accepted", request_id: frame.request_id, accepted: true, disposition: "started" };
        queueMicrotask(() => listener.onMessage(JSON.stringify(answer)));
      },
      close: () => undefined,
      terminate: () => undefined,
    });
    Object.assign(device, { listener, currentMode: null });
    return true;
  }

  return { ...testProxy, server, devices, sent, register, open };
}

function statusText(runtime: object, mode: string): string {
  return JSON.stringify({ type: "update_device_status", runtime, device_status: { current_permission_mode: mode } });
}

type World = ReturnType<typeof createWorld>;

function expectNothingForeign({ devices }: World, record: KeyRecord, { body }: PlainResponse): void {
  const text = typeof body === "string" ? body : new TextDecoder().decode(body ?? undefined);
  for (const device of devices) {
    if (!model.mayKnow(record, device)) expect(text).not.toContain(model.markOf(device));
  }
  if (!record.scopes.includes("details")) expect(text).not.toContain(model.hiddenMark);
}

test("with the embedded server, no response reveals and no message reaches a device outside a key's restrictions, and no key takes over another key's device", async () => {
  const reached = { sent: 0, unsent: 0, registered: 0, kept: 0, opened: 0, closed: 0 };
  const scopes = ["list", "read", "send", "connect", "details"] as const;
  const keys = fc.array(model.anyKey(tenants, scopes), { minLength: 2, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(keys, fc.array(step, { minLength: 10, maxLength: 40 }), async (requests, script) => {
      const world = createWorld();
      const issued = await Promise.all(
        requests.map((request) => world.issueKey({ ...request, owner: model.hiddenMark })),
      );
      for (const [number, { kind, ...given }] of script.entries()) {
        const one = issued[given.key % issued.length];
        if (one === undefined) continue;
        const { key, record } = one;
        world.sent.length = 0;
        if (kind === "register") {
          const { tenant, scopes: has } = record;
          const connectionName = `${tenant}-${given.suffix}`;
          const known = world.devices.find((other) => other.tenant === tenant && other.deviceId === given.deviceId);
          const tags = known?.tags ?? [];
          const asked = { tenant, deviceId: given.deviceId, connectionName, currentMode: null, tags };
          const mayTake =
            known === undefined ||
            known.ownerKeyId === record.id ||
            (known.ownerKeyId === null && model.mayKnow(record, known));
          const allowed = has.includes("connect") && mayTake && model.mayKnow(record, asked);
          expect(await world.register(key, record, given.deviceId, connectionName)).toBe(allowed);
          reached[allowed ? "registered" : "kept"] += 1;
        }
        const device = world.devices[given.device % Math.max(1, world.devices.length)];
        if (device === undefined) continue;
        if (kind === "upgrade") {
          // As often the key that registered as any other.
          const opener = given.limit === 1 ? one : issued.find(({ record: { id } }) => id === device.registeredBy);
          if (opener === undefined) continue;
          const { scopes: has, id } = opener.record;
          const allowed = has.includes("connect") && device.registeredBy === id && model.mayKnow(opener.record, device);
          expect(await world.open(opener.key, device)).toBe(allowed);
          reached[allowed ? "opened" : "closed"] += 1;
        }
        if (kind === "label") {
          device.tags = model.tags.slice(given.limit - 1);
          await world.server.devices.label(device.tenant, device.deviceId, { tags: [...device.tags] }, () => true);
        }
        if (kind === "mode" && device.listener !== null && given.currentMode !== null) {
          device.currentMode = given.currentMode;
          for (const agentId of [null, ...model.agentIds]) {
            const runtime = { agent_id: agentId, conversation_id: agentId === null ? "conv-1" : "default" };
            device.listener.onMessage(statusText(runtime, given.currentMode));
          }
        }
        if (kind === "read") {
          const path = `/v1/environments/${device.deviceId}`;
          expectNothingForeign(world, record, await world.proxy.handle(fakeRequest({ key, path })));
        }
        if (kind === "list" && record.scopes.includes("list")) {
          const seen: string[] = [];
          for (let query = `limit=${given.limit}`, more = true; more;) {
            const response = await world.proxy.handle(fakeRequest({ key, query }));
            expectNothingForeign(world, record, response);
            const page = bodyOf(response) as { connections: Environment[]; hasNextPage: boolean };
            seen.push(...page.connections.map(({ deviceId }) => deviceId));
            query = `limit=${given.limit}&after=${page.connections.at(-1)?.id ?? ""}`;
            more = page.hasNextPage;
          }
          const known = world.devices.filter((candidate) => model.mayKnow(record, candidate));
          expect(seen.toSorted()).toEqual(known.map(({ deviceId }) => deviceId).toSorted());
        }
        if (kind === "send") {
          const path = `/v1/environments/${device.connectionId}/messages`;
          const body = model.sendBody(given.agentId, `m-${number}`);
          const response = await world.proxy.handle(fakeRequest({ key, method: "POST", path, body }));
          expectNothingForeign(world, record, response);
          reached[response.status === 200 ? "sent" : "unsent"] += 1;
          expect(world.sent).toHaveLength(response.status === 200 ? 1 : 0);
        }
        for (const { device: receiver, agentId } of world.sent) {
          expect(model.maySend(record, receiver, agentId)).toBe(true);
        }
      }
    }),
    { numRuns: 300 },
  );
  expect(Math.min(...Object.values(reached))).toBeGreaterThan(10);
});
