/** Random requests with random keys to a remote upstream, compared with a model of the access rules. */
import { type Environment, jsonResponse, type PlainResponse } from "@letta-environments/schema";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { TenantSettings } from "../src/tenants/settings.ts";
import type { KeyRecord } from "../src/keys/key-record.ts";
import type { UpstreamRequest } from "../src/ports.ts";
import * as model from "./support/access-model.ts";
import { environmentRow } from "./support/environment-row.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { bodyOf, createTestProxy } from "./support/test-proxy.ts";

interface HttpDevice extends model.ModelDevice {
  connectionId: string;
}

// Tenants `three` and `four` share an account and differ by their device allowlists; the others have one each.
const tenants = ["one", "two", "three", "four"];
const accountOf = (tenant: string): string => (tenant === "three" || tenant === "four" ? "shared" : tenant);
const held = (pattern: string): TenantSettings => ({
  credential: null,
  publicName: null,
  deviceIds: null,
  connectionNames: [pattern],
});
const tenantSettings = new Map([
  ["three", held("three-*")],
  ["four", held("four-*")],
]);

const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant("list" as const), limit: fc.integer({ min: 1, max: 3 }), online: fc.boolean() }),
    fc.record({ kind: fc.constant("read" as const), device: fc.nat(11) }),
    fc.record({
      kind: fc.constant("send" as const),
      device: fc.nat(11),
      agentId: fc.constantFrom(null, ...model.agentIds),
    }),
    fc.record({ kind: fc.constant("wait" as const), durationMs: fc.constantFrom(1_000, 4_000, 6_000) }),
    fc.record({ kind: fc.constant("mode" as const), device: fc.nat(11), currentMode: model.anyMode }),
    fc.record({ kind: fc.constant("reconnect" as const), device: fc.nat(11) }),
    fc.record({ kind: fc.constant("rename" as const), device: fc.nat(11), suffix: fc.constantFrom(...model.suffixes) }),
  ),
  { minLength: 5, maxLength: 25 },
);

/** Devices, their server, and a proxy in front of it. */
function createWorld() {
  const devices: HttpDevice[] = tenants.flatMap((tenant) =>
    model.deviceIds.map((deviceId, index) => ({
      tenant,
      // Two tenants of one account cannot have one device each under the same id.
      deviceId: tenant === "four" ? `${deviceId}-four` : deviceId,
      connectionName: `${tenant}-${model.suffixes[index] ?? ""}`,
      currentMode: "standard",
      tags: model.tags.slice(index),
      connectionId: `conn-${tenant}-${deviceId}`,
    })),
  );
  const sent: { readonly device: HttpDevice | undefined; readonly agentId: string | null }[] = [];

  function rowOf(device: HttpDevice): Environment {
    return environmentRow(`${device.tenant}-${device.deviceId}`, {
      deviceId: device.deviceId,
      connectionId: device.connectionId,
      connectionName: device.connectionName,
      organizationId: model.hiddenMark,
      podId: model.hiddenMark,
      userId: model.hiddenMark,
      metadata: { gitBranch: model.markOf(device) },
      ...(device.tags !== undefined && { tags: [...device.tags] }),
      ...(device.currentMode !== null && { currentMode: device.currentMode }),
    });
  }

  function upstream({ method, path, query, body, headers }: UpstreamRequest): PlainResponse {
    const rows = devices.filter(({ tenant }) => headers["authorization"] === `Bearer ${accountOf(tenant)}`);
    const [id = "", action] = path.split("/").slice(3);
    if (method === "POST" && action === "messages") {
      const { agentId = null } = JSON.parse(new TextDecoder().decode(body ?? undefined)) as { agentId?: string };
      // Any device of any account: a server that is worse than ours at telling tenants apart.
      const device = devices.find(({ connectionId }) => connectionId === id);
      sent.push({ device, agentId });
      return device === undefined ? jsonResponse(404, {}) : jsonResponse(200, { success: true, message: "ok" });
    }
    if (id !== "") {
      const device = rows.find(({ deviceId }) => deviceId === id);
      return device === undefined ? jsonResponse(404, {}) : jsonResponse(200, rowOf(device));
    }
    const parameters = new URLSearchParams(query);
    // Pages are smaller than requested, so that a filtered page needs several of them.
    const limit = Math.min(Number(parameters.get("limit") ?? 50), 2);
    const sorted = rows.map(rowOf).toSorted((left, right) => (left.id < right.id ? -1 : 1));
    const rest = sorted.filter((row) => row.id > (parameters.get("after") ?? ""));
    return jsonResponse(200, { connections: rest.slice(0, limit), hasNextPage: rest.length > limit });
  }

  const testProxy = createTestProxy((request) => Promise.resolve(upstream(request)), {
    config: { tenants: tenantSettings },
    remote: { credentialOf: accountOf },
  });
  return { ...testProxy, devices, sent };
}

type World = ReturnType<typeof createWorld>;

function expectNothingForeign(world: World, record: KeyRecord, { body }: PlainResponse): void {
  const text = typeof body === "string" ? body : new TextDecoder().decode(body ?? undefined);
  for (const device of world.devices) {
    if (!model.mayKnow(record, device)) expect(text).not.toContain(model.markOf(device));
  }
  if (!record.scopes.includes("details")) expect(text).not.toContain(model.hiddenMark);
}

/** Sends a request. After several connections that do not exist, the gateway waits before it looks for another one, so time goes on. */
async function respond(world: World, request: Parameters<typeof fakeRequest>[0]): Promise<PlainResponse> {
  let isPending = true;
  const responding = Promise.resolve(world.proxy.handle(fakeRequest(request))).finally(() => (isPending = false));
  while (isPending) await world.clock.advance(100);
  return responding;
}

/** Reads the whole list, page by page. */
async function listAll(world: World, key: string, record: KeyRecord, query: string): Promise<string[] | null> {
  const seen: string[] = [];
  for (let after = "", pages = 0; pages < 20; pages++) {
    const response = await respond(world, { key, query: after === "" ? query : `${query}&after=${after}` });
    expectNothingForeign(world, record, response);
    if (response.status !== 200) return null;
    const { connections, hasNextPage } = bodyOf(response) as { connections: Environment[]; hasNextPage: boolean };
    seen.push(...connections.map(({ id }) => id));
    after = connections.at(-1)?.id ?? "";
    if (!hasNextPage) return seen;
  }
  throw new Error("the list does not end");
}

test("with a remote upstream, no response reveals a device outside a key's restrictions, no message reaches one, and lists contain all permitted devices", async () => {
  const reached = { sends: 0, refused: 0 };
  const keys = fc.array(model.anyKey(tenants, ["list", "read", "send", "details"]), { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(keys, steps, async (requests, script) => {
      const world = createWorld();
      const issued = await Promise.all(requests.map((request) => world.issueKey(request)));
      for (const [number, step] of script.entries()) {
        const device = world.devices["device" in step ? step.device : 0];
        if (device === undefined) continue;
        if (step.kind === "wait") await world.clock.advance(step.durationMs);
        if (step.kind === "mode") device.currentMode = step.currentMode;
        if (step.kind === "reconnect") device.connectionId = `${device.connectionId}x`;
        if (step.kind === "rename") {
          device.connectionName = `${device.tenant}-${step.suffix}`;
          device.tags = model.tags.filter((tag) => !(device.tags ?? []).includes(tag));
          // The gateway remembers an environment for 5 s.
          await world.clock.advance(5_001);
        }
        for (const { key, record } of issued) {
          world.sent.length = 0;
          if (step.kind === "list") {
            const query = `limit=${step.limit}${step.online ? "&onlineOnly=true" : ""}`;
            const seen = await listAll(world, key, record, query);
            const known = world.devices.filter((candidate) => model.mayKnow(record, candidate));
            if (seen !== null) {
              const expected = known.map(({ tenant, deviceId }) => `${tenant}-${deviceId}`).toSorted();
              expect(seen).toEqual(expected);
            }
          }
          if (step.kind === "read") {
            const path = `/v1/environments/${device.deviceId}`;
            expectNothingForeign(world, record, await respond(world, { key, path }));
          }
          if (step.kind === "send") {
            const path = `/v1/environments/${device.connectionId}/messages`;
            // A repeat by another key would receive the first result, whatever the mode is.
            const body = model.sendBody(step.agentId, `m-${number}-${record.id}`);
            const response = await respond(world, { key, method: "POST", path, body });
            expectNothingForeign(world, record, response);
            const allowed = model.maySend(record, device, step.agentId);
            expect(response.status === 200).toBe(allowed);
            reached[allowed ? "sends" : "refused"] += 1;
          }
          for (const one of world.sent) {
            expect(one.device !== undefined && model.maySend(record, one.device, one.agentId)).toBe(true);
          }
        }
      }
    }),
    { numRuns: 300 },
  );
  expect(Math.min(reached.sends, reached.refused)).toBeGreaterThan(30);
});
