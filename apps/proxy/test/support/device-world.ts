/** Gateways that record what they audit and invalidate, and one with a device of the embedded server. */
import { createEnvironmentServer } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { openSqlite, randomId, sha256Hex } from "@letta-environments/platform/node";
import type { PlainResponse } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import type { AuditEntry } from "../../src/audit/entry.ts";
import type { AuditLog } from "../../src/audit/log.ts";
import { AuditUnavailableError } from "../../src/audit/store.ts";
import type { EnvironmentCache } from "../../src/cache/environment-cache.ts";
import type { KeyRequest } from "../../src/keys/key-lifecycle.ts";
import { type FakeRequest, fakeRequest } from "./fake-request.ts";
import { bodyOf, createTestProxy, type TestProxy } from "./test-proxy.ts";
import { embedServer } from "../../src/upstream/embedded.ts";

/** A gateway that records what it audits and invalidates. */
export interface ObservedProxy extends TestProxy {
  readonly entries: AuditEntry[];
  readonly invalidated: unknown[];
  control(
    key: string,
    path: string,
    body?: object | null,
    more?: Pick<FakeRequest, "signal" | "headers" | "awaitBody">,
  ): Promise<PlainResponse>;
}

/** A gateway that records what it audits and invalidates. @param failing the type of entry that cannot be stored */
export function observeProxy(
  createProxy: (ports: { audit: AuditLog; environmentCache: EnvironmentCache }) => TestProxy,
  failing?: AuditEntry["type"],
): ObservedProxy {
  const entries: AuditEntry[] = [];
  const invalidated: unknown[] = [];
  const audit: AuditLog = {
    append(entry) {
      if (entry.type === failing) return Promise.reject(new AuditUnavailableError(new Error("disk full")));
      entries.push(entry);
      return Promise.resolve();
    },
  };
  const environmentCache: EnvironmentCache = {
    read: () => null,
    invalidate: (_tenant, target) => Promise.resolve(void invalidated.push(target)),
  };
  const testProxy = createProxy({ audit, environmentCache });
  return {
    ...testProxy,
    entries,
    invalidated,
    control(key, path, body = { agentId: "agent-1" }, more = {}) {
      const [target = "", query = ""] = `/v1/environments/${path}`.split("?");
      return testProxy.proxy.handle(
        fakeRequest({
          ...more,
          key,
          method: body === null ? "DELETE" : "POST",
          path: target,
          query,
          ...(body !== null && { body: JSON.stringify(body) }),
        }),
      );
    },
  };
}

/** Asks for a key that may send and control. */
export const controlKey: Partial<KeyRequest> = { scopes: ["read", "send", "control"], owner: "ada" };

/** The differences of a gateway. @param reportsModes whether its device says that it has changed its mode; slowly: after 9 seconds */
type DeviceWorldOptions = Pick<NonNullable<Parameters<typeof createTestProxy>[1]>, "config" | "ports"> & {
  readonly reportsModes?: boolean | "slowly";
};

/** A gateway with one device, whose responses the test writes. */
export async function createDeviceWorld(
  failing?: AuditEntry["type"],
  { reportsModes = true, config, ports: morePorts }: DeviceWorldOptions = {},
) {
  const clock = createVirtualClock();
  const server = createEnvironmentServer({
    store: createSqliteEnvironmentStore(openSqlite(":memory:")),
    clock,
    sha256: sha256Hex,
    randomId,
    podId: "pod-1",
    publicUrl: null,
    settleMs: 0,
  });
  const world = observeProxy(
    (ports) =>
      createTestProxy(undefined, {
        ports: { ...ports, clock, upstream: embedServer(server), deviceSockets: server, ...morePorts },
        ...(config !== undefined && { config }),
      }),
    failing,
  );
  const connectKey = await world.issueKey({ scopes: ["connect"] });
  const principal = {
    ...{ tenant: "default", keyId: connectKey.record.id, owner: "box", scopes: new Set(["connect"] as const) },
    ...{ deviceIds: null, connectionNames: null, agentIds: null, maxMode: null, shared: false },
  };
  const body = new TextEncoder().encode(JSON.stringify({ deviceId: "device-1", connectionName: "box" }));
  const registered = await server.handle(
    { method: "POST", path: "/v1/environments/register", query: "", headers: {}, body },
    principal,
    { authority: "http://127.0.0.1" },
  );
  const { connectionId } = bodyOf(registered) as { connectionId: string };
  const upgrade = await server.upgrade(
    { method: "GET", path: `/v1/environments/${connectionId}/socket`, query: "", headers: {}, body: null },
    principal,
  );
  if (upgrade.kind === "refused") throw new Error("the socket was refused");
  const frames: Record<string, unknown>[] = [];
  const device = upgrade.attach({
    send(text) {
      const frame: Record<string, unknown> = JSON.parse(text);
      frames.push(frame);
      if (frame["type"] === "change_device_state" && !reportsModes) return;
      const { type, request_id, runtime, payload } = frame;
      const answer =
        type === "abort_message"
          ? { type: "abort_message_response", request_id, runtime, aborted: true, success: true }
          : type === "change_device_state"
            ? {
                type: "update_device_status",
                runtime,
                device_status: { current_permission_mode: (payload as { mode: string }).mode },
              }
            : { type: "remove_queue_item_response", request_id, success: true };
      const respond = (): void => device.onMessage(JSON.stringify(answer));
      if (type === "change_device_state" && reportsModes === "slowly") clock.setTimer(9_000, respond);
      else respond();
    },
    close: () => undefined,
    terminate: () => undefined,
  });
  const send = (
    key: string,
    id: string,
    more?: Pick<FakeRequest, "signal" | "headers" | "awaitBody">,
  ): Promise<PlainResponse> => {
    const messages = [{ role: "user", content: "x", client_message_id: id }];
    return world.control(key, `${connectionId}/messages`, { agentId: `agent-${id}`, messages }, more);
  };
  const acknowledge = (): void => {
    const { request_id } = frames.findLast(({ type }) => type === "input") ?? {};
    device.onMessage(JSON.stringify({ type: "input_accepted", request_id, accepted: true, disposition: "started" }));
  };
  return { ...world, clock, connectionId, frames, send, acknowledge };
}
