/** The audit records of the pipeline, and its behaviour when the audit log cannot be written. */
import { randomBytes } from "node:crypto";
import { jsonResponse, type PlainResponse } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { createMemoryKeyStore } from "../src/adapters/memory/key-store.ts";
import type { AuditEntry } from "../src/audit/entry.ts";
import { auditKeyStore } from "../src/audit/key-changes.ts";
import type { AuditLog } from "../src/audit/log.ts";
import { boundRefusals, maxRecordedRefusals } from "../src/audit/refusals.ts";
import { AuditUnavailableError } from "../src/audit/store.ts";
import { KeyStoreUnavailableError } from "../src/keys/key-store-outages.ts";
import type { KeyStore, KeyStoreFor, UpstreamFetch } from "../src/ports.ts";
import { environmentRow } from "./support/environment-row.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { createTestAudit } from "./support/test-audit.ts";
import { createTestProxy, issueTestKey, problemOf, type TestProxy, upstreamCredential } from "./support/test-proxy.ts";

const upstream: UpstreamFetch = (request) =>
  Promise.resolve(
    request.method === "POST"
      ? jsonResponse(200, { success: true, message: "ok" })
      : jsonResponse(200, {
          connections: [environmentRow("1", { deviceId: "device-1", connectionId: "conn-1" })],
          hasNextPage: false,
        }),
  );

function message(id: string): unknown {
  return {
    agentId: "agent-1",
    conversationId: "conv-1",
    messages: [{ role: "user", content: "rm -rf the secret plan", client_message_id: id }],
  };
}

interface Audited extends TestProxy {
  readonly entries: AuditEntry[];
  /** Entries of this type are refused. */
  readonly refuse: Set<AuditEntry["type"]>;
  /** How many sends had reached the upstream when each entry came. */
  readonly sentBefore: number[];
  send(authorization: string, body?: unknown, connectionId?: string): Promise<PlainResponse>;
}

function setUp(overrides: Parameters<typeof createTestProxy>[1] = {}, behind: UpstreamFetch = upstream): Audited {
  const entries: AuditEntry[] = [];
  const refuse = new Set<AuditEntry["type"]>();
  const sentBefore: number[] = [];
  const audit: AuditLog = {
    async append(entry) {
      if (refuse.has(entry.type)) throw new AuditUnavailableError(new Error("disk full"));
      sentBefore.push(testProxy.upstreamRequests.filter(({ method }) => method === "POST").length);
      entries.push(entry);
    },
  };
  const testProxy = createTestProxy(behind, { ...overrides, ports: { audit, ...overrides.ports } });
  return {
    ...testProxy,
    entries,
    refuse,
    sentBefore,
    send: (authorization, body = message("m1"), connectionId = "conn-1") =>
      testProxy.proxy.handle(
        fakeRequest({
          method: "POST",
          path: `/v1/environments/${connectionId}/messages`,
          headers: { authorization, "content-type": "application/json" },
          body: JSON.stringify(body),
        }),
      ),
  };
}

test("a send is audited before it is sent, with its caller, device and message id, and again with its result", async () => {
  const { send, entries, issueKey, sentBefore } = setUp();
  const { key, record } = await issueKey({ owner: "somebody" });
  const response = await send(`Bearer ${key}`);
  expect(response.status).toBe(200);
  expect(sentBefore).toEqual([0, 1]);
  const [started, finished] = entries;
  expect(started).toEqual({
    type: "send_started",
    sendId: expect.any(String),
    requestId: response.headers["x-request-id"],
    tenant: "default",
    keyId: record.id,
    owner: "somebody",
    connectionId: "conn-1",
    deviceId: "device-1",
    agentId: "agent-1",
    conversationId: "conv-1",
    messageIds: ["m1"],
    answersApproval: false,
  });
  expect(finished).toEqual({
    type: "send_finished",
    sendId: started !== undefined && "sendId" in started ? started.sendId : "",
    status: 200,
    code: null,
    replayed: false,
  });
});

test("the log contains no key, no credential, and no message content unless it is configured", async () => {
  const { send, entries, issueKey } = setUp();
  const { key } = await issueKey();
  await send(`Bearer ${key}`);
  for (const secret of [key, upstreamCredential, "secret plan"]) expect(JSON.stringify(entries)).not.toContain(secret);

  const kept = setUp({ config: { auditContent: true } });
  await kept.send(`Bearer ${(await kept.issueKey()).key}`);
  expect(kept.entries[0]).toMatchObject({ content: [{ content: "rm -rf the secret plan" }] });
});

describe("an audit log that cannot be written", () => {
  test("a send is refused as unsent and safe to repeat if the audit log cannot be written", async () => {
    const { send, refuse, issueKey, upstreamRequests, events, entries } = setUp();
    refuse.add("send_started");
    const response = await send(`Bearer ${(await issueKey()).key}`);
    expect([response.status, problemOf(response).errorCode]).toEqual([503, "audit_unavailable"]);
    expect(response.headers).toMatchObject({ "x-should-retry": "true", "retry-after": expect.any(String) });
    expect(upstreamRequests.filter(({ method }) => method === "POST")).toEqual([]);
    expect(events).toContainEqual(expect.objectContaining({ type: "audit_failed" }));
    expect(entries).toMatchObject([{ type: "send_refused", status: 503, code: "audit_unavailable" }]);
  });

  test("an audit log that cannot be written does not change the response to a message that was sent", async () => {
    const { send, refuse, issueKey, events } = setUp();
    refuse.add("send_finished");
    expect((await send(`Bearer ${(await issueKey()).key}`)).status).toBe(200);
    expect(events).toContainEqual(expect.objectContaining({ type: "audit_failed" }));
  });

  test("an audit log that cannot be written does not affect reads", async () => {
    const { proxy, refuse, issueKey } = setUp();
    for (const type of ["send_started", "send_refused", "send_finished"] as const) refuse.add(type);
    const { key } = await issueKey();
    const request = fakeRequest({ path: "/v1/environments", headers: { authorization: `Bearer ${key}` } });
    expect((await proxy.handle(request)).status).toBe(200);
  });
});

describe("the audit of refused sends", () => {
  test("a send is recorded if it is refused for a missing scope, an unknown device, an agent or an invalid body", async () => {
    const { send, entries, issueKey, upstreamRequests } = setUp();
    const bearer = async (request: Parameters<typeof issueKey>[0]): Promise<string> =>
      `Bearer ${(await issueKey(request)).key}`;
    await send(await bearer({ scopes: ["read"] }));
    await send(await bearer({ deviceIds: ["device-2"] }));
    await send(await bearer({ agentIds: ["agent-2"] }));
    await send(await bearer({}), { messages: [] });
    await send(await bearer({}), message("m1"), "conn-unknown");
    expect(entries.map((entry) => ("code" in entry ? [entry.type, entry.code] : entry.type))).toEqual([
      ["send_refused", "insufficient_scope"],
      ["send_refused", "connection_not_found"],
      ["send_refused", "agent_not_allowed"],
      ["send_refused", "invalid_request"],
      ["send_refused", "connection_not_found"],
    ]);
    expect(upstreamRequests.filter(({ method }) => method === "POST")).toEqual([]);
  });

  test("refused sends with unverified upstream keys are not recorded, and a record contains only the first of many message ids", async () => {
    const refusing: UpstreamFetch = () => Promise.resolve(jsonResponse(401, {}));
    const stranger = setUp({ config: { passThrough: true } }, refusing);
    expect((await stranger.send("Bearer sk-invented")).status).toBe(401);
    expect((await stranger.send("Bearer sk-invented", { messages: [] })).status).toBe(400);
    expect(stranger.entries).toEqual([]);

    const { send, entries, issueKey } = setUp();
    const messages = Array.from({ length: 500 }, (_, index) => ({
      role: "user",
      content: "x",
      client_message_id: `${index}`,
    }));
    await send(`Bearer ${(await issueKey({ agentIds: ["a"] })).key}`, { agentId: "b", messages });
    expect(entries).toMatchObject([{ type: "send_refused", messageIds: { length: 20 } }]);
  });

  test("refused sends without a key are not recorded", async () => {
    const { send, entries } = setUp();
    await send("Bearer lek_nobody");
    expect(entries).toEqual([]);
  });
});

test("2,000 refused sends of one key leave a bounded number of records that account for all of them, and an accepted send in between is recorded", async () => {
  const entries: AuditEntry[] = [];
  const clock = createVirtualClock();
  const plain: AuditLog = { append: (entry) => Promise.resolve(void entries.push(entry)) };
  const audit = boundRefusals(plain, { clock, onFailure: () => undefined });
  const { send, issueKey, events } = setUp({ ports: { audit } });
  const lister = await issueKey({ scopes: ["list"] });
  const sender = await issueKey();
  for (let count = 0; count < 2_000; count++) {
    expect((await send(`Bearer ${lister.key}`)).status).toBe(403);
    if (count === 1_000) expect((await send(`Bearer ${sender.key}`)).status).toBe(200);
  }
  await audit.endRefusals();
  const refused = entries.filter(({ type }) => type === "send_refused");
  expect(refused).toHaveLength(maxRecordedRefusals.perKey);
  expect(entries.filter(({ type }) => type === "refusals_omitted")).toMatchObject([
    { tenant: "default", keyId: lister.record.id, omitted: 2_000 - refused.length },
  ]);
  expect(entries.filter(({ type }) => type === "send_started" || type === "send_finished")).toHaveLength(2);
  expect(events.filter((event) => event.type === "request" && event.status === 403)).toHaveLength(2_000);
});

test("a send with an unknown result is recorded as delivery_unknown", async () => {
  const broken: UpstreamFetch = (request, signal) =>
    request.method === "POST"
      ? Promise.resolve({ reason: "broken", cause: new Error("reset") })
      : upstream(request, signal);
  const { send, entries, issueKey } = setUp({}, broken);
  await send(`Bearer ${(await issueKey()).key}`);
  expect(entries.at(-1)).toMatchObject({ type: "send_finished", status: 504, code: "delivery_unknown" });
});

describe("the audit of the administration over HTTP", () => {
  test("each change of a key is recorded with its actor, and a change that cannot be recorded is not made", async () => {
    const entries: AuditEntry[] = [];
    let isFull = false;
    const audit: AuditLog = {
      async append(entry) {
        if (isFull) throw new AuditUnavailableError(new Error("disk full"));
        entries.push(entry);
      },
    };
    const plain = createMemoryKeyStore();
    const keyStoreFor: KeyStoreFor = (actor) => auditKeyStore(plain, audit, actor, () => undefined);
    const { proxy, clock } = createTestProxy(upstream, {
      ports: { audit, keyStore: plain, admin: { randomBytes, keyStoreFor } },
    });
    const admin = await issueTestKey(plain, clock, { scopes: ["admin"] });
    const create = (): Promise<PlainResponse> =>
      proxy.handle(
        fakeRequest({
          key: admin.key,
          method: "POST",
          path: "/admin/v1/keys",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ name: "made" }),
        }),
      );
    expect((await create()).status).toBe(201);
    const actor = { kind: "key", keyId: admin.record.id, tenant: "default" };
    expect(entries).toMatchObject([
      { type: "key_change_started", actor },
      { type: "key_changed", actor, act: "created", members: { name: "made" } },
    ]);
    isFull = true;
    const response = await create();
    expect([response.status, problemOf(response).errorCode]).toEqual([503, "audit_unavailable"]);
    expect(await plain.list()).toHaveLength(2);
  });
});

test("a revocation that cannot read the key changes nothing, so its 503 is retryable", async () => {
  const memory = createMemoryKeyStore();
  let unreadable: string | null = null;
  const find: KeyStore["find"] = (id) =>
    id === unreadable ? Promise.reject(new KeyStoreUnavailableError()) : memory.find(id);
  const keys: KeyStore = { ...memory, find };
  const { proxy, clock } = createTestProxy(upstream, {
    ports: { keyStore: keys, admin: { randomBytes, keyStoreFor: () => keys } },
  });
  const { key } = await issueTestKey(memory, clock, { scopes: ["admin"] });
  const { record } = await issueTestKey(memory, clock);
  const revoke = () => proxy.handle(fakeRequest({ key, method: "POST", path: `/admin/v1/keys/${record.id}/revoke` }));
  unreadable = record.id;
  const response = await revoke();
  expect([response.status, problemOf(response).errorCode]).toEqual([503, "key_store_unavailable"]);
  expect(response.headers["x-should-retry"]).toBe("true");
  unreadable = null;
  expect((await revoke()).status).toBe(200);
});

test("a change that succeeded, but whose key cannot be returned, must not be retried", async () => {
  const memory = createMemoryKeyStore();
  const lastUses = (): Promise<never> => Promise.reject(new KeyStoreUnavailableError());
  const { proxy, clock } = createTestProxy(upstream, {
    ports: { keyStore: { ...memory, lastUses }, admin: { randomBytes, keyStoreFor: () => memory } },
  });
  const { key, record } = await issueTestKey(memory, clock, { scopes: ["admin"] });
  for (const path of ["/admin/v1/keys", `/admin/v1/keys/${record.id}/revoke`]) {
    const headers = { "content-type": "application/json" };
    const body = path.endsWith("keys") ? JSON.stringify({ name: "n" }) : null;
    const response = await proxy.handle(fakeRequest({ key, method: "POST", path, headers, body }));
    expect([response.status, response.headers["x-should-retry"]]).toEqual([503, "false"]);
  }
});

test("a change of a key whose result is lost is recorded as unknown, and its 503 is not retryable", async () => {
  const keys = createMemoryKeyStore();
  const silent = (): Promise<never> => Promise.reject(new KeyStoreUnavailableError(new Error("timeout")));
  const { proxy, clock } = createTestProxy(upstream, {
    ports: { keyStore: keys, admin: { randomBytes, keyStoreFor: () => ({ ...keys, update: silent }) } },
  });
  const { key, record } = await issueTestKey(keys, clock, { scopes: ["admin"] });
  const path = `/admin/v1/keys/${record.id}/revoke`;
  const response = await proxy.handle(fakeRequest({ key, method: "POST", path }));
  expect([response.status, problemOf(response).errorCode]).toEqual([503, "key_store_unavailable"]);
  expect(response.headers["x-should-retry"]).toBe("false");
  expect(problemOf(response).detail).toContain("may have been made");
});

test("a change of a key that the store refused is recorded as abandoned, and its 503 is retryable", async () => {
  const keys = createMemoryKeyStore();
  const refuse = (): Promise<never> => Promise.reject(new KeyStoreUnavailableError({ isRefused: true }));
  const audit = createTestAudit();
  const keyStore = auditKeyStore(
    { ...keys, create: refuse },
    await audit.openWriter("writer-1"),
    { kind: "command-line", user: "somebody" },
    () => undefined,
  );
  const { proxy, clock } = createTestProxy(upstream, {
    ports: { keyStore: keys, admin: { randomBytes, keyStoreFor: () => keyStore } },
  });
  const { key } = await issueTestKey(keys, clock, { scopes: ["admin"] });
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ name: "n" });
  const response = await proxy.handle(fakeRequest({ key, method: "POST", path: "/admin/v1/keys", headers, body }));
  expect([response.status, response.headers["x-should-retry"]]).toEqual([503, "true"]);
  expect(problemOf(response).detail).not.toContain("may have been made");
  expect((await audit.entries()).slice(1).map(({ type }) => type)).toEqual([
    "key_change_started",
    "key_change_abandoned",
  ]);
});
