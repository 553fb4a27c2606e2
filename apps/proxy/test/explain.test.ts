/** The verdict of `explain`, compared with what the same request gets. */
import type { PlainResponse } from "@letta-environments/schema";
import fc from "fast-check";
import { expect, test } from "vitest";
import { disableKey, revokeKey } from "./support/end-keys.ts";
import * as model from "./support/access-model.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { createExplainWorld } from "./support/explain-world.ts";
import { settlesWithin } from "./support/settles-within.ts";
import { problemOf } from "./support/test-proxy.ts";

const scopes = ["list", "read", "send", "approve", "control", "view"] as const;
/** A mode to set and tools to deny. An earlier version stored them without the rule that concerns both. */
const modeToSet = fc.record({
  setMode: fc.option(fc.constantFrom("standard", "acceptEdits", "unrestricted"), { freq: 2 }),
  deniedTools: fc.option(fc.constantFrom(["Bash"], ["Edit"]), { freq: 2 }),
});
const restrictedKey = fc
  .tuple(model.anyKey(["one", "one", "one", "two"], scopes), modeToSet)
  .map(([limits, modes]) => ({ ...limits, ...modes }));

/** Random restrictions leave few requests that are forwarded. */
const withoutRestrictions = <Key extends model.AnyKey>(key: Key): Key => ({
  ...key,
  ...{ tenant: "one", scopes: [...scopes], deviceIds: null, connectionNames: null },
  ...{ deviceTags: null, agentIds: null, maxMode: null },
});
const anyRequest = fc.record({
  kind: fc.constantFrom(
    "list",
    "badList",
    "read",
    "send",
    "send",
    "send",
    "send",
    "badSend",
    "sendWithoutAgent",
    "sendTwice",
    "nothing",
    "method",
    "stop",
    "stopWithoutAgent",
    "message",
    "awaitMessage",
    "messages",
    "ticket",
    "viewer",
    "viewer",
    "output",
    "lastRuntime",
  ),
  device: fc.constantFrom(...model.deviceIds),
  connection: fc.constantFrom(0, 0, 0, 1, 2, 3),
  agentId: fc.constantFrom("agent-1", "agent-1", "agent-2", "agent-3"),
  messageId: fc.constantFrom("m0", "m1", "m2"),
});
type AnyRequest = typeof anyRequest extends fc.Arbitrary<infer Request> ? Request : never;

function requestOf({ kind, device, connection, agentId, messageId }: AnyRequest, connections: readonly string[]) {
  const path = `/v1/environments/${connections[connection] ?? ""}`;
  const messages = [{ role: "user", content: "hello", client_message_id: messageId }];
  switch (kind) {
    case "list":
      return { method: "GET", path: "/v1/environments" };
    case "badList":
      return { method: "GET", path: "/v1/environments", query: "limit=1000" };
    case "read":
      return { method: "GET", path: `/v1/environments/${device}` };
    case "send":
      return { method: "POST", path: `${path}/messages`, body: { agentId, messages } };
    case "badSend":
      return { method: "POST", path: `${path}/messages`, body: { agentId, messages: "hello" } };
    case "sendWithoutAgent":
      return { method: "POST", path: `${path}/messages`, body: { messages } };
    case "sendTwice":
      return { method: "POST", path: `${path}/messages`, body: { agentId, messages: [...messages, ...messages] } };
    case "nothing":
      return { method: "GET", path: "/v1/nothing" };
    case "method":
      return { method: "DELETE", path: "/v1/environments" };
    case "stop":
      return { method: "POST", path: `${path}/stop`, body: { agentId, runId: 7 } };
    case "stopWithoutAgent":
      return { method: "POST", path: `${path}/stop`, body: {} };
    case "message":
      return { method: "GET", path: `${path}/messages/${messageId}` };
    case "awaitMessage":
      return { method: "GET", path: `${path}/messages/${messageId}`, query: "wait=finished&waitSeconds=5" };
    case "messages":
      return { method: "GET", path: `${path}/messages` };
    case "ticket":
      return { method: "POST", path: `${path}/status/ws-ticket` };
    case "viewer":
      return { method: "GET", path: `${path}/status/ws`, query: `agentId=${agentId}` };
    case "output":
      return { method: "GET", path: "/v1/environments/events", query: "include=output" };
    case "lastRuntime":
      return { method: "GET", path: `/v1/environments/runtimes/${agentId}/default/last` };
  }
}

/** The response to a request; that to a socket that would open is 101. */
async function respond(
  { proxy, clock }: Awaited<ReturnType<typeof createExplainWorld>>,
  request: ReturnType<typeof fakeRequest>,
): Promise<PlainResponse> {
  if (request.path.endsWith("/ws")) {
    const decision = await proxy.upgrade(request);
    return decision.kind === "refused" ? decision.response : { status: 101, headers: {}, body: null };
  }
  const responding = proxy.handle(request);
  await clock.advance(20_000);
  return responding;
}

/** Codes of the rules that need no device. A request with one of them has a verdict. */
const alwaysDecided = [
  ...["rate_limited", "insufficient_scope", "agent_not_allowed", "invalid_request", "agent_required"],
  ...["connection_not_found", "environment_not_found", "message_not_found"],
];

test("the decision of explain matches the actual response for random keys and requests, and explain sends and charges nothing", async () => {
  const seen = { decided: 0, handedOn: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(restrictedKey, restrictedKey.map(withoutRestrictions)),
      fc.constantFrom("active", "active", "active", "revoked", "disabled", "expired"),
      fc.array(anyRequest, { minLength: 1, maxLength: 5 }),
      async (wanted, state, requests) => {
        const world = await createExplainWorld();
        const expiresAt = state === "expired" ? world.clock.now() + 1_000 : null;
        const { key, record } = await world.issue({ ...wanted, expiresAt });
        if (state === "revoked") await revokeKey(world.keyStore, record.id, world.clock.now());
        if (state === "disabled") await disableKey(world.keyStore, record.id, world.clock.now());
        await world.clock.advance(2_000);
        const tenant = record.tenant as "one" | "two";
        for (const request of requests) {
          const {
            method,
            path,
            query = "",
            body,
          } = { query: undefined, body: undefined, ...requestOf(request, world.connections) };
          const target = query === "" ? path : `${path}?${query}`;
          const question = { keyId: record.id, method, path: target, ...(body !== undefined && { body }) };
          const before = world.sent.length;
          const explained = await world.ask(tenant, question);
          expect(explained.status).toBe(200);
          expect(await world.ask(tenant, question)).toEqual(explained);
          // Without the running gateway, more is left open, and the rest is the same.
          expect([explained.body.verdict, null]).toContainEqual((await world.askStored(question)).verdict);
          expect(world.sent).toHaveLength(before);
          const real = await respond(
            world,
            fakeRequest({
              key,
              method,
              path,
              query,
              ...(body !== undefined && {
                body: JSON.stringify(body),
                headers: { "content-type": "application/json" },
              }),
            }),
          );
          const { verdict } = explained.body;
          const errorCode = real.status < 400 ? null : problemOf(real).errorCode;
          if (verdict === null) seen.handedOn += 1;
          else {
            seen.decided += 1;
            expect([question, verdict.status, verdict.errorCode]).toEqual([question, real.status, errorCode]);
          }
          // What explain forwards, neither a rule of the gateway refuses nor the server before it has found the device.
          if (verdict === null)
            expect({ question, isMissed: alwaysDecided.includes(errorCode ?? "") }).toEqual({
              question,
              isMissed: false,
            });
          // Without a maximum, the mode of the device plays no part.
          if (verdict === null && record.maxMode === null) expect(errorCode).not.toBe("mode_not_allowed");
        }
      },
    ),
    { numRuns: 100 },
  );
  expect(Math.min(seen.decided, seen.handedOn)).toBeGreaterThanOrEqual(3);
});

test("explain shows each rule with its reason, and what remains of the limits", async () => {
  const { issue, ask, connections } = await createExplainWorld();
  const { record } = await issue({ scopes: ["send"], tenant: "one", agentIds: ["agent-1"], maxMode: "standard" });
  const path = `/v1/environments/${connections[0] ?? ""}/messages`;
  const messages = [{ role: "user", content: "hello", client_message_id: "m1" }];
  const allowed = await ask("one", { keyId: record.id, method: "POST", path, body: { agentId: "agent-1", messages } });
  expect(allowed.body).toMatchObject({ keyId: record.id, operation: "sendMessage", verdict: null });
  expect(allowed.body.limits).toEqual([
    { policy: "few", mode: "enforce", allowed: true, remaining: 6, retryAfterMs: null },
  ]);
  expect(allowed.body.rules.map(({ rule, result }) => [rule, result])).toEqual([
    ["match the endpoint", "passed"],
    ["authenticate", "passed"],
    ["open the audit record", "passed"],
    ["authorise the endpoint", "passed"],
    ["apply the rate limits", "passed"],
    ["read the idempotency key", "passed"],
    ["validate query and body", "passed"],
    ["authorise the input", "passed"],
    ["check the precondition", "passed"],
    ["find the device", "passed"],
    ["recognise a repeat", "passed"],
    ["reach the device", "passed"],
    ["check the mode", "unknown"],
  ]);
  const named = { agentId: "agent-1", conversationId: "conv-1", messages };
  const ofConversation = await ask("one", { keyId: record.id, method: "POST", path, body: named });
  expect(ofConversation.body.rules.slice(-2)).toMatchObject([
    { rule: "check the agent of the conversation", result: "unknown" },
    { rule: "check the mode", result: "unknown" },
  ]);
  const refused = await ask("one", { keyId: record.id, method: "POST", path, body: { agentId: "other", messages } });
  expect(refused.body.verdict).toEqual({ status: 403, errorCode: "agent_not_allowed" });
  expect(refused.body.rules.slice(-2)).toMatchObject([
    { rule: "authorise the input", result: "refused", errorCode: "agent_not_allowed" },
    { rule: "forward the request", result: "skipped" },
  ]);
});

test("explain refuses a message, but not a decision, of a key that sets a mode beyond its rights, and leaves open earlier refusals by the device", async () => {
  const { issue, ask, connections } = await createExplainWorld();
  const { record } = await issue({
    ...{ scopes: ["send", "approve"], tenant: "one", agentIds: ["agent-1"] },
    ...{ setMode: "unrestricted", deniedTools: ["Bash"] },
  });
  const path = `/v1/environments/${connections[0] ?? ""}/messages`;
  const explain = async (body: object) => (await ask("one", { keyId: record.id, method: "POST", path, body })).body;
  const message = { role: "user", content: "hello", client_message_id: "m1" };
  const decision = { type: "approval", approvals: [{ type: "approval", tool_call_id: "call-1", approve: true }] };
  const rule = { rule: "check the mode", errorCode: "mode_not_allowed" };
  const detail = expect.stringContaining("the key may not set a mode beyond acceptEdits, and sets unrestricted");
  const refused = await explain({ agentId: "agent-1", messages: [message] });
  expect(refused.verdict).toEqual({ status: 403, errorCode: "mode_not_allowed" });
  expect(refused.rules.at(-1)).toEqual({ ...rule, result: "refused", detail });
  for (const body of [
    { agentId: "agent-1", conversationId: "conv-1", messages: [message] },
    { agentId: "agent-1", messages: [decision, message] },
  ]) {
    const open = await explain(body);
    expect(open.verdict).toBeNull();
    expect(open.rules.at(-1)).toEqual({ ...rule, result: "unknown", detail });
  }
  const deciding = await explain({ agentId: "agent-1", messages: [decision] });
  expect(deciding.verdict).toBeNull();
  expect(deciding.rules.map((shown) => shown.rule)).not.toContain("check the mode");
});

test("explain checks the agent of a viewer socket first, and then its device", async () => {
  const { issue, ask, connections } = await createExplainWorld();
  const { record } = await issue({ scopes: ["view"], tenant: "one", agentIds: ["agent-1"] });
  const verdictOf = async (connectionId: string, agentId: string) => {
    const path = `/v1/environments/${connectionId}/status/ws?agentId=${agentId}`;
    return (await ask("one", { keyId: record.id, method: "GET", path })).body.verdict;
  };
  expect(await Promise.all(connections.map((connectionId) => verdictOf(connectionId, "agent-1")))).toEqual([
    null,
    { status: 409, errorCode: "device_offline" },
    { status: 404, errorCode: "connection_not_found" },
    { status: 409, errorCode: "connection_replaced" },
  ]);
  const refused = { status: 403, errorCode: "agent_not_allowed" };
  for (const connectionId of connections) expect(await verdictOf(connectionId, "agent-2")).toEqual(refused);
});

test("explain of a send does not wait for an in-flight send of the same key", async () => {
  const { issue, ask, connections, proxy, clock, silenceDevices } = await createExplainWorld();
  const { key, record } = await issue({ scopes: ["send"], tenant: "one", agentIds: ["agent-1"] });
  const request = {
    ...{ method: "POST", path: `/v1/environments/${connections[0] ?? ""}/messages` },
    body: {
      ...{ agentId: "agent-1", conversationId: "conv-1" },
      messages: [{ role: "user", content: "hello", client_message_id: "m1" }],
    },
  };
  const asked = silenceDevices();
  const sending = proxy.handle(fakeRequest({ key, ...request, body: JSON.stringify(request.body) }));
  await asked;
  // The clock is stopped, so the send is not over.
  const explaining = ask("one", { keyId: record.id, ...request });
  expect(await settlesWithin(explaining, 5_000)).toBe(true);
  expect((await explaining).body.verdict).toBeNull();
  await clock.advance(20_000);
  expect((await sending).status).not.toBe(200);
});

test("explain reports a failing server as such, and does not blame the input or the device", async () => {
  const { issue, ask, connections, server } = await createExplainWorld();
  const { record } = await issue({ scopes: ["control"], tenant: "one" });
  const path = `/v1/environments/${connections[0] ?? ""}/stop`;
  await server.close();
  const { body } = await ask("one", { keyId: record.id, method: "POST", path, body: { agentId: "agent-1" } });
  expect(body.verdict).toBeNull();
  expect(body.rules.slice(-2)).toMatchObject([
    { rule: "find the device", result: "passed" },
    { rule: "reach the device", result: "unknown", detail: expect.stringContaining("shutting down") },
  ]);
});

test("explain does not reveal the existence of other devices to an administering key that is limited to devices", async () => {
  const { issue, ask, connections } = await createExplainWorld();
  const [, foreign = "", absent = ""] = connections;
  const limits = { tenant: "one", deviceIds: ["d1"] };
  const limited = await issue({ ...limits, scopes: ["admin"] });
  const { record } = await issue({ ...limits, scopes: ["control"] });
  const explain = async (connectionId: string, admin?: string) => {
    const path = `/v1/environments/${connectionId}/stop`;
    const { body } = await ask("one", { keyId: record.id, method: "POST", path, body: { agentId: "a" } }, admin);
    expect(body.verdict).toEqual({ status: 404, errorCode: "connection_not_found" });
    return body.rules;
  };
  expect(await explain(foreign, limited.key)).toEqual(await explain(absent, limited.key));
  // One that sees every device of the tenant learns the reason.
  expect(await explain(foreign)).not.toEqual(await explain(absent));
});

test("explain needs the scope admin, knows only keys of the tenant, and names errors in its input", async () => {
  const { issue, ask, proxy } = await createExplainWorld();
  const { record, key } = await issue({ scopes: ["list"], tenant: "one" });
  const wanted = { keyId: record.id, method: "GET", path: "/v1/environments" };
  expect(await ask("two", wanted)).toMatchObject({ status: 404, body: { errorCode: "key_not_found" } });
  const denied = await proxy.handle(
    fakeRequest({ key, method: "POST", path: "/admin/v1/explain", body: JSON.stringify(wanted) }),
  );
  expect(denied.status).toBe(403);
  for (const [member, value] of [
    ["path", "/admin/v1/keys"],
    ["path", "/livez"],
    ["path", "/openapi.json"],
    ["path", "/docs"],
    ["path", "/v1/ratelimit?operation=sendMessage"],
    ["path", "https://other.example/"],
    ["method", "TRACE"],
    ["keyId", "not an id"],
    ["token", "x"],
  ] as const) {
    expect(await ask("one", { ...wanted, [member]: value })).toMatchObject({
      status: 400,
      body: { errorCode: "invalid_request", errors: [{ member }] },
    });
  }
});

test.each<[string, object, object]>([
  ["deviceIds", { deviceIds: ["mine"] }, {}],
  ["connectionNames", { connectionNames: ["mine-*"] }, { connectionNames: ["d1-*"] }],
  ["deviceTags", { deviceTags: ["mine"] }, {}],
  ["agentIds", { agentIds: ["agent-9"] }, { agentIds: ["agent-1"] }],
])("an administering key does not explain a key that is beyond its own %s", async (member, own, explained) => {
  const { issue, ask } = await createExplainWorld();
  const { key: admin } = await issue({ scopes: ["admin"], tenant: "one", ...own });
  const { record } = await issue({ scopes: ["list", "read"], tenant: "one", ...explained });
  const wanted = (keyId: string) => ({ keyId, method: "GET", path: "/v1/environments/d1" });
  expect(await ask("one", wanted(record.id), admin)).toMatchObject({
    status: 403,
    body: { errorCode: "grant_not_allowed", errors: [{ member }] },
  });
  const { record: within } = await issue({ scopes: ["list", "read"], tenant: "one", ...own });
  expect((await ask("one", wanted(within.id), admin)).status).toBe(200);
});

test("a key that has expired is refused as expired, as its state says, even if it was disabled or needs a newer version", async () => {
  const { issue, ask, clock, keyStore, proxy, events } = await createExplainWorld();
  for (const change of [{ disabledAt: 1 }, { requires: ["newer"] }]) {
    const { record, key } = await issue({ scopes: ["list"], tenant: "one", expiresAt: clock.now() + 1_000 });
    await keyStore.update(record.id, (present) => ({ ...present, ...change }));
    await clock.advance(2_000);
    const { body } = await ask("one", { keyId: record.id, method: "GET", path: "/v1/environments" });
    expect(body.rules.at(-2)).toMatchObject({ rule: "authenticate", detail: "key_expired" });
    await proxy.handle(fakeRequest({ key, path: "/v1/environments" }));
    expect(events.findLast(({ type }) => type === "request")).toMatchObject({ reason: "key_expired" });
  }
});

test("a list by user without the scope details, which is always empty, is not explained as cached", async () => {
  const { issue, ask } = await createExplainWorld();
  const wanted = { method: "GET", path: "/v1/environments?userId=user-1" };
  const rulesOf = async (scopes: ("list" | "details")[]) => {
    const { record } = await issue({ scopes, tenant: "one" });
    const { body } = await ask("one", { keyId: record.id, ...wanted });
    return body.rules.map(({ rule }) => rule);
  };
  expect(await rulesOf(["list", "details"])).toContain("read through the cache");
  expect(await rulesOf(["list"])).not.toContain("read through the cache");
});

test("an administering key with an expiry can explain keys without one", async () => {
  const { issue, ask, clock } = await createExplainWorld();
  const { key: admin } = await issue({ scopes: ["admin"], tenant: "one", expiresAt: clock.now() + 10_000 });
  const { record } = await issue({ scopes: ["list"], tenant: "one" });
  expect((await ask("one", { keyId: record.id, method: "GET", path: "/v1/environments" }, admin)).status).toBe(200);
});
