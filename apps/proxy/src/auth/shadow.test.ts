import { createEnvironmentServer } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { openSqlite, randomId, sha256Hex } from "@letta-environments/platform/node";
import { jsonResponse, type Principal } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { knownConnections } from "../../test/support/known-connections.ts";
import { bodyOf, createTestProxy } from "../../test/support/test-proxy.ts";
import type { KeyRequest } from "../keys/key-lifecycle.ts";
import type { WrapApiStep } from "../request-exchange.ts";
import { authoriseInput } from "./authorise.ts";
import { createShadow, liftRestrictions, type ShadowRule, shadowRules } from "./shadow.ts";
import { embedServer } from "../upstream/embedded.ts";

const message = { role: "user", content: "hello", client_message_id: "m-1" };

/** Sends to an agent, or reads a device, with a restricted key, in shadow mode for these rules. */
async function ask(
  restrictions: Partial<KeyRequest>,
  rules: readonly ShadowRule[] | null,
  request: { readonly agentId: string } | { readonly deviceId: string },
) {
  let wrap: WrapApiStep = (_name, run) => run;
  const upstream = knownConnections(() => Promise.resolve(jsonResponse(200, { success: true, message: "ok" })));
  const testProxy = createTestProxy(upstream, {
    ports: { wrapStep: (name, run) => (exchange) => wrap(name, run)(exchange) },
  });
  const { key, record } = await testProxy.issueKey({ scopes: ["read", "send"], ...restrictions });
  if (rules !== null) wrap = createShadow({ keyIds: new Set([record.id]), rules: new Set(rules) });
  const response = await testProxy.proxy.handle(
    "deviceId" in request
      ? fakeRequest({ key, path: `/v1/environments/${request.deviceId}` })
      : fakeRequest({
          key,
          method: "POST",
          path: "/v1/environments/c/messages",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ agentId: request.agentId, messages: [message] }),
        }),
  );
  const logged = testProxy.events.find(({ type }) => type === "request") as {
    readonly shadowRefusedBy?: readonly string[];
  };
  return { status: response.status, shadowRefusedBy: logged.shadowRefusedBy };
}

const agents = { agentIds: ["agent-1"] };

test("without shadow mode a restriction is enforced, and nothing is logged as a shadow", async () => {
  expect(await ask(agents, null, { agentId: "agent-2" })).toEqual({ status: 403, shadowRefusedBy: undefined });
});

test("in shadow mode a restriction refuses nothing, and the log says what it would have refused", async () => {
  expect(await ask(agents, shadowRules, { agentId: "agent-2" })).toEqual({
    status: 200,
    shadowRefusedBy: ["agent_not_allowed"],
  });
  expect(await ask(agents, shadowRules, { agentId: "agent-1" })).toEqual({ status: 200, shadowRefusedBy: undefined });
});

test("a rule that is not in shadow mode is still enforced", async () => {
  expect(await ask(agents, ["devices", "maxMode"], { agentId: "agent-2" })).toMatchObject({ status: 403 });
});

test("in shadow mode the device allowlist is evaluated for reads of a device, but not enforced", async () => {
  const devices = { deviceIds: ["device-1"] };
  expect(await ask(devices, null, { deviceId: "device-2" })).toMatchObject({ status: 404, shadowRefusedBy: undefined });
  const shadowed = await ask(devices, shadowRules, { deviceId: "device-2" });
  expect(shadowed.shadowRefusedBy).toEqual(["environment_not_found"]);
});

test("scopes are never in shadow mode", async () => {
  expect(await ask({ ...agents, scopes: ["read"] }, shadowRules, { agentId: "agent-2" })).toMatchObject({
    status: 403,
  });
});

describe("the mode that a key may choose", () => {
  const free = { deviceIds: null, connectionNames: null, agentIds: null, maxMode: null, shared: false };
  const caller: Principal = { ...free, tenant: "t", keyId: "k", owner: "o", scopes: new Set(["control"]) };

  /** Returns the modes that a key in shadow mode for a rule may change a conversation to. */
  function modesOf(limits: Partial<Principal>, rule: ShadowRule): readonly string[] {
    const lifted = liftRestrictions({ ...caller, ...limits }, { keyIds: new Set(["k"]), rules: new Set([rule]) });
    return ["standard", "acceptEdits", "unrestricted", "newer"].filter((mode) => {
      const body = { agentId: "agent-1", conversationId: "default", mode };
      return (
        authoriseInput(lifted, { operation: "changeMode", params: { connectionId: "c" }, query: null, body }) === null
      );
    });
  }

  test.each([
    [{ maxMode: "acceptEdits", setMode: "standard" }, ["standard", "acceptEdits", "unrestricted", "newer"]],
    [{ maxMode: "acceptEdits" }, ["standard", "acceptEdits", "unrestricted", "newer"]],
    [{ setMode: "standard" }, ["standard"]],
    [{ maxMode: "standard", approvalPolicy: { deniedTools: ["Bash"], deadlineMs: null } }, ["standard", "acceptEdits"]],
  ])(
    "a maximum in shadow mode does not limit a key's choice of mode, but a set mode without a maximum and denied tools do: %j",
    (limits, modes) => {
      expect(modesOf(limits, "maxMode")).toEqual(modes);
    },
  );

  test("a key's choice of mode stays limited while another restriction is in shadow mode", () => {
    expect(modesOf({ maxMode: "acceptEdits", setMode: "standard" }, "agents")).toEqual(["standard", "acceptEdits"]);
    expect(modesOf({ setMode: "standard" }, "agents")).toEqual(["standard"]);
  });
});

/** A gateway over an embedded server. Its keys in `keyIds` are in shadow mode for all rules. */
function setUpEmbedded() {
  const clock = createVirtualClock();
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const server = createEnvironmentServer({
    ...{ store, clock, sha256: sha256Hex, randomId, podId: "pod", publicUrl: "https://gateway.example", settleMs: 0 },
  });
  const keyIds = new Set<string>();
  const testProxy = createTestProxy(undefined, {
    ports: {
      ...{ clock, upstream: embedServer(server), deviceSockets: server },
      wrapStep: createShadow({ keyIds, rules: new Set(shadowRules) }, server),
    },
  });
  return { ...testProxy, store, server, keyIds };
}

describe("the device of a connection, with the embedded server", () => {
  const scopes = ["read", "send", "view", "control"] as const;

  /** Returns a function that requests something of the connection of `device-1`, and returns what shadow mode logs. */
  async function setUp(restrictions: Partial<KeyRequest>) {
    const { proxy, issueKey, events, keyIds } = setUpEmbedded();
    const connect = await issueKey({ scopes: ["connect"] });
    const registered = await proxy.handle(
      fakeRequest({
        ...{ key: connect.key, method: "POST", path: "/v1/environments/register" },
        body: JSON.stringify({ deviceId: "device-1", connectionName: "box" }),
      }),
    );
    const { connectionId } = bodyOf(registered) as { connectionId: string };
    const { key, record } = await issueKey({ scopes, ...restrictions });
    keyIds.add(record.id);
    return async (method: string, path: string, body: object | null): Promise<readonly string[]> => {
      const [target = "", query = ""] = path.split("?");
      events.length = 0;
      const request = fakeRequest({
        ...{ key, method, path: `/v1/environments/${connectionId}/${target}`, query },
        ...(body !== null && { body: JSON.stringify(body) }),
      });
      await (path === "status/ws" ? proxy.upgrade(request) : proxy.handle(request));
      return events.flatMap((event) => (event.type === "request" ? (event.shadowRefusedBy ?? []) : []));
    };
  }

  const target = { agentId: "agent-1" };
  const requests: readonly (readonly [method: string, path: string, body: object | null])[] = [
    ["POST", "messages", { ...target, messages: [message] }],
    ["POST", "stop", target],
    ["POST", "mode", { ...target, mode: "standard" }],
    ["POST", "directory", { ...target, directory: "/code" }],
    ["POST", "queue/resume", target],
    ["DELETE", "queue/q-1?agentId=agent-1", null],
    ["GET", "messages", null],
    ["GET", "messages/m-1", null],
    ["POST", "status/ws-ticket", null],
    ["GET", "status/ws", null],
  ];

  test.each(requests)(
    "in shadow mode the device of a connection is evaluated for %s %s with the embedded server, but not enforced",
    async (method, path, body) => {
      expect(await (await setUp({ deviceIds: ["device-2"] }))(method, path, body)).toEqual(["connection_not_found"]);
      expect(await (await setUp({ connectionNames: ["ci-*"] }))(method, path, body)).toEqual(["connection_not_found"]);
      expect(await (await setUp({ deviceIds: ["device-1"] }))(method, path, body)).toEqual([]);
    },
  );
});

test("in shadow mode the tags of a registering device are evaluated with the embedded server, but not enforced", async () => {
  const { proxy, issueKey, events, keyIds, server, store } = setUpEmbedded();
  const { key, record } = await issueKey({ scopes: ["connect"], deviceTags: ["gpu"] });
  keyIds.add(record.id);
  async function register() {
    events.length = 0;
    const body = JSON.stringify({ deviceId: "device-1", connectionName: "box" });
    const { status } = await proxy.handle(
      fakeRequest({ key, method: "POST", path: "/v1/environments/register", body }),
    );
    const codes = events.flatMap((event) => (event.type === "request" ? (event.shadowRefusedBy ?? []) : []));
    return { status, codes };
  }
  expect(await register()).toEqual({ status: 200, codes: ["device_not_allowed"] });
  await server.devices.label("default", "device-1", { tags: ["gpu"] }, () => true);
  expect(await register()).toEqual({ status: 200, codes: [] });
  await server.devices.label("default", "device-1", { tags: ["ci"] }, () => true);
  expect(await register()).toEqual({ status: 200, codes: ["device_not_allowed"] });
  store.listDevices = () => Promise.reject(new Error("disk I/O error"));
  expect(await register()).toEqual({ status: 200, codes: [] });
});
