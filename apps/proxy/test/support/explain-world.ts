/** A gateway whose `explain` a test compares with its responses. */
import { randomBytes } from "node:crypto";
import { createEnvironmentServer, refuseInput } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { openSqlite, randomId, sha256Hex } from "@letta-environments/platform/node";
import { problemResponse } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect } from "vitest";
import { createMemoryKeyStore } from "../../src/adapters/memory/key-store.ts";
import { createMemoryRateLimitStore } from "../../src/adapters/memory/rate-limit-store.ts";
import type { RateLimitsFile } from "../../src/config/file.ts";
import { resolveRateLimits } from "../../src/config/resolve-rate-limits.ts";
import { callerOfKey } from "../../src/explain/caller.ts";
import { createExplain, createExplainEndpoint, type Explain } from "../../src/explain/endpoint.ts";
import type { Explanation, ExplainRequest } from "../../src/explain/explanation.ts";
import { createExtensions } from "../../src/extensions.ts";
import { createExpiryCheck } from "../../src/keys/credential-expiry.ts";
import { createRateLimiter } from "../../src/rate-limit/limiter.ts";
import { embedServer } from "../../src/upstream/embedded.ts";
import { fakeRequest } from "./fake-request.ts";
import { bodyOf, createTestProxy, issueTestKey } from "./test-proxy.ts";

const routes = ["listEnvironments", "retrieveEnvironment", "sendMessage", "controlDevice"] as const;
const few = { few: { per: ["key" as const], limit: 6, burst: 6, windowMs: 3_600_000, routes: [...routes] } };

/** A gateway with the embedded server, limits, and two devices of the tenant `one`: `d1` is connected for the second time, and `d2` is offline. */
export async function createExplainWorld(policies: RateLimitsFile["policies"] = few) {
  const clock = createVirtualClock();
  const keyStore = createMemoryKeyStore();
  const sent: unknown[] = [];
  let onUnanswered: (() => void) | null = null;
  let explainStored: Explain | null = null;
  const server = createEnvironmentServer({
    store: createSqliteEnvironmentStore(openSqlite(":memory:")),
    clock,
    sha256: sha256Hex,
    randomId,
    podId: "pod",
    publicUrl: null,
    settleMs: 0,
  });
  const local = createMemoryRateLimitStore(clock);
  const rateLimiter = createRateLimiter({ store: local, localStore: local, clock, onDegraded: () => undefined });
  const testProxy = createTestProxy(undefined, {
    ports: {
      clock,
      keyStore,
      rateLimiter,
      deviceSockets: server,
      upstream: embedServer(server),
      apiExtensions: createExtensions({ clock, server, telemetry: () => undefined }),
      admin: { randomBytes, keyStoreFor: () => keyStore },
    },
    config: { rateLimits: resolveRateLimits({ policies }, false).settings },
    createAdminEndpoints(parts) {
      const embedded = embedServer({ ...server, operate: async () => problemResponse("shutting_down") });
      const services = { ...parts.services, upstream: embedded };
      explainStored = createExplain({ ...parts, services }, refuseInput, false);
      return [createExplainEndpoint(parts, refuseInput)];
    },
  });
  const { proxy } = testProxy;
  const issue = (request: Parameters<typeof issueTestKey>[2]) => issueTestKey(keyStore, clock, request);
  const { key: connectKey } = await issue({ scopes: ["connect"], tenant: "one", shared: true });

  async function connect(deviceId: string, connectionName: string, isOnline: boolean): Promise<string> {
    const body = JSON.stringify({ deviceId, connectionName });
    const path = "/v1/environments/register";
    const registered = await proxy.handle(fakeRequest({ key: connectKey, method: "POST", path, body }));
    const { connectionId } = bodyOf(registered) as { connectionId: string };
    const opened = await proxy.upgrade(
      fakeRequest({ key: connectKey, path: `/v1/environments/${connectionId}/socket` }),
    );
    if (opened.kind === "refused") throw new Error("the device was refused");
    let mode = "unrestricted";
    const listener = opened.attach({
      send(text) {
        if (onUnanswered !== null) return onUnanswered();
        const frame = JSON.parse(text) as Readonly<Record<"type" | "request_id", string>> & { runtime: object };
        const { type, request_id, runtime } = frame;
        if (type !== "input" && type !== "sync" && type !== "change_device_state") return;
        if (type !== "sync") sent.push(text);
        if ("payload" in frame && type === "change_device_state") ({ mode } = frame.payload as { mode: string });
        const answer =
          type === "input"
            ? { type: "input_accepted", request_id, accepted: true, disposition: "started" }
            : { type: "update_device_status", runtime, device_status: { current_permission_mode: mode } };
        queueMicrotask(() => listener.onMessage(JSON.stringify(answer)));
      },
      close: () => undefined,
      terminate: () => undefined,
    });
    if (!isOnline) listener.onClose(1_000);
    return connectionId;
  }

  const replaced = await connect("d1", "d1-ci-1", true);
  const { key: sender } = await issue({ scopes: ["send"], tenant: "one" });
  const messages = [{ role: "user", content: "hello", client_message_id: "m0" }];
  const sending = proxy.handle(
    fakeRequest({
      key: sender,
      method: "POST",
      path: `/v1/environments/${replaced}/messages`,
      body: JSON.stringify({ agentId: "agent-1", messages }),
    }),
  );
  await clock.advance(1_000);
  expect((await sending).status).toBe(200);
  sent.length = 0;
  const connections = [
    await connect("d1", "d1-ci-1", true),
    await connect("d2", "d2-prod-1", false),
    "unknown",
    replaced,
  ];
  const asAdmin = async (tenant: string): Promise<string> => (await issue({ scopes: ["admin"], tenant })).key;
  const admins = { one: await asAdmin("one"), two: await asAdmin("two") };

  async function ask(tenant: "one" | "two", body: object, admin = admins[tenant]) {
    const response = await proxy.handle(
      fakeRequest({
        key: admin,
        method: "POST",
        path: "/admin/v1/explain",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      }),
    );
    return { status: response.status, body: bodyOf(response) as Explanation & { readonly errorCode?: string } };
  }

  /** Explains a request as the command does without the running gateway. */
  async function askStored(wanted: ExplainRequest): Promise<Explanation> {
    const record = await keyStore.find(wanted.keyId ?? "");
    if (record === null || explainStored === null) throw new Error("no such key");
    return explainStored(callerOfKey(record, createExpiryCheck(clock)), wanted);
  }

  /** Devices answer no more. Resolves when one of them gets its next frame. */
  const silenceDevices = () => new Promise<void>((resolve) => (onUnanswered = resolve));

  return { ...testProxy, clock, keyStore, server, sent, connections, issue, ask, askStored, silenceDevices };
}
