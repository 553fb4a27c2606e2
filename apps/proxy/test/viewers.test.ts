/** The viewer socket in the gateway: how it is authenticated, and that its frames are requests like any other. */
import { createEnvironmentServer } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { openSqlite, randomId, sha256Hex } from "@letta-environments/platform/node";
import type { PlainSocketListener, Scope } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { createMemoryKeyStore } from "../src/adapters/memory/key-store.ts";
import { createMemoryRateLimitStore } from "../src/adapters/memory/rate-limit-store.ts";
import type { AuditEntry } from "../src/audit/entry.ts";
import { AuditUnavailableError } from "../src/audit/store.ts";
import { resolveRateLimits } from "../src/config/resolve-rate-limits.ts";
import { mintSecret, patchKey, rotateKey } from "../src/keys/key-lifecycle.ts";
import { credentialIdOf, type KeyRecord } from "../src/keys/key-record.ts";
import { KeyStoreUnavailableError } from "../src/keys/key-store-outages.ts";
import { addSession, endSession } from "../src/keys/sign-in.ts";
import type { KeyStore } from "../src/ports.ts";
import { createRateLimiter } from "../src/rate-limit/limiter.ts";
import type { GatewayConfig, GatewayServices } from "../src/services.ts";
import { disableKey, revokeKey } from "./support/end-keys.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { createTestIssuer, testJwtSettings } from "./support/test-issuer.ts";
import { bodyOf, createTestProxy, issueTestKey, problemOf, testMint } from "./support/test-proxy.ts";
import { embedServer } from "../src/upstream/embedded.ts";

type Frame = Readonly<Record<string, unknown>>;

const origin = "https://console.example";
const runtime = { agent_id: "agent-1", conversation_id: "default" };
const message = { role: "user", content: "hello", client_message_id: "m-1" };
const input = { type: "input", runtime, payload: { kind: "create_message", messages: [message] } };

/** A gateway with an embedded server and one device that accepts what it receives. */
async function setUp({
  ports = {},
  config = {},
  failing,
}: { ports?: Partial<GatewayServices>; config?: Partial<GatewayConfig>; failing?: AuditEntry["type"] } = {}) {
  const clock = createVirtualClock();
  const entries: AuditEntry[] = [];
  const server = createEnvironmentServer({
    store: createSqliteEnvironmentStore(openSqlite(":memory:")),
    clock,
    sha256: sha256Hex,
    randomId,
    podId: "pod-1",
    publicUrl: null,
    settleMs: 0,
  });
  const audit = {
    append(entry: AuditEntry) {
      if (entry.type === failing) return Promise.reject(new AuditUnavailableError(new Error("disk full")));
      return Promise.resolve(void entries.push(entry));
    },
  };
  const world = createTestProxy(undefined, {
    ports: { clock, audit, upstream: embedServer(server), deviceSockets: server, ...ports },
    config: { corsOrigins: [origin], ...config },
  });
  const issueKey: typeof world.issueKey = (request) =>
    issueTestKey(ports.keyStore ?? world.keyStore, world.clock, request);
  const connectKey = await issueKey({ scopes: ["connect"] });
  const register = async (deviceId: string): Promise<string> => {
    const body = JSON.stringify({ deviceId, connectionName: "box" });
    const request = { key: connectKey.key, method: "POST", path: "/v1/environments/register", body } as const;
    return (bodyOf(await world.proxy.handle(fakeRequest(request))) as { connectionId: string }).connectionId;
  };
  const connectionId = await register("device-1");
  const received: Frame[] = [];
  const device = await open(
    fakeRequest({ key: connectKey.key, path: `/v1/environments/${connectionId}/socket` }),
    (frame) => {
      received.push(frame);
      const { type, request_id: id } = frame;
      if (type === "input")
        say(device, { type: "input_accepted", request_id: id, accepted: true, disposition: "started" });
    },
  );
  const path = `/v1/environments/${connectionId}/status/ws`;

  async function open(request: ReturnType<typeof fakeRequest>, onFrame: (frame: Frame) => void = () => undefined) {
    const decision = await world.proxy.upgrade(request);
    if (decision.kind === "refused") throw new Error(problemOf(decision.response).errorCode);
    return decision.attach({
      send: (text) => onFrame(JSON.parse(text) as Frame),
      close: () => undefined,
      terminate: () => undefined,
    });
  }

  /** Opens the socket of a viewer with a new key. */
  async function watch(scopes: readonly Scope[]) {
    const { key, record } = await issueKey({ scopes });
    const frames: Frame[] = [];
    const listener = await open(fakeRequest({ key, path }), (frame) => void frames.push(frame));
    return { key, record, frames, say: (frame: object) => say(listener, frame) };
  }

  /** The code of the refusal; `accepted` when there is none. */
  async function refusal(request: Parameters<typeof fakeRequest>[0]): Promise<string> {
    const decision = await world.proxy.upgrade(fakeRequest({ path, ...request }));
    return decision.kind === "accepted" ? "accepted" : problemOf(decision.response).errorCode;
  }

  /** Creates a ticket for the connection. */
  async function issueTicket(key: string): Promise<string> {
    const response = await world.proxy.handle(fakeRequest({ key, method: "POST", path: `${path}-ticket` }));
    return (bodyOf(response) as { ticket: string }).ticket;
  }

  return {
    ...world,
    issueKey,
    register,
    clock,
    server,
    device,
    entries,
    connectionId,
    received,
    path,
    open,
    watch,
    refusal,
    issueTicket,
  };
}

function say(listener: PlainSocketListener, frame: object): void {
  listener.onMessage(JSON.stringify(frame));
}

describe("authentication of viewers", () => {
  test("a viewer socket accepts the key in the header, or in the query of this path only", async () => {
    const { issueKey, refusal, path, connectionId, proxy } = await setUp();
    const { key } = await issueKey({ scopes: ["view"] });
    expect(await refusal({ key })).toBe("accepted");
    expect(await refusal({ query: `agentId=a&token=${key}` })).toBe("accepted");
    expect(await refusal({ query: `%74oken=${key}` })).toBe("accepted");
    expect(await refusal({})).toBe("missing_key");
    expect(await refusal({ query: "token=wrong" })).toBe("invalid_key");
    expect(await refusal({ query: `token=${key}&token=${key}` })).toBe("invalid_key");
    expect(await refusal({ path: path.replace("status/ws", "socket"), query: `token=${key}` })).toBe("missing_key");
    const plain = fakeRequest({
      path: `/v1/environments/${connectionId}/status/ws-ticket`,
      method: "POST",
      query: `token=${key}`,
    });
    expect(problemOf(await proxy.handle(plain)).errorCode).toBe("missing_key");
  });

  test("an upgrade with a credential in the header and another in the query is unauthenticated, even if both are valid", async () => {
    const { issueKey, issueTicket, refusal } = await setUp();
    const { key } = await issueKey({ scopes: ["view"] });
    const { key: other } = await issueKey({ scopes: ["view"] });
    expect(await refusal({ key, query: `token=${key}` })).toBe("accepted");
    for (const token of [other, "junk", "", await issueTicket(key)])
      expect(await refusal({ key, query: `token=${token}` })).toBe("invalid_key");
    expect(await refusal({ key: "wrong", query: `token=${key}` })).toBe("invalid_key");
    const basic = { headers: { authorization: "Basic dTpw" } };
    expect(await refusal({ ...basic, query: `token=${key}` })).toBe("invalid_key");
  });

  test("a web page needs an allowed origin and a ticket to open a viewer socket, and the ticket opens one socket", async () => {
    const { issueKey, refusal, issueTicket } = await setUp();
    const { key } = await issueKey({ scopes: ["view"] });
    const page = { headers: { origin } };
    expect(await refusal({ ...page, query: `token=${key}` })).toBe("invalid_key");
    const ticket = await issueTicket(key);
    expect(await refusal({ ...page, headers: { origin: "https://other.example" }, query: `token=${ticket}` })).toBe(
      "origin_not_allowed",
    );
    expect(await refusal({ ...page, query: `token=${ticket}` })).toBe("accepted");
    expect(await refusal({ ...page, query: `token=${ticket}` })).toBe("invalid_key");
    expect(await refusal({ query: `token=${await issueTicket(key)}` })).toBe("accepted");
    expect(await refusal({ key, headers: { origin: "null" } })).toBe("origin_not_allowed");
  });

  test("the authentication of a viewer leaves the token out of every event and entry", async () => {
    const { issueKey, refusal, events, entries, path, proxy } = await setUp();
    const { key } = await issueKey({ scopes: ["view"] });
    await refusal({ query: `token=${key}` });
    await refusal({ query: `token=${key}x` });
    await refusal({ query: `token=${key}&channel=wrong` });
    const plain = await proxy.handle(fakeRequest({ path, query: `token=${key}` }));
    const seen = JSON.stringify([events, entries, plain, problemOf(plain)]);
    expect(seen.includes(key)).toBe(false);
  });
});

describe("rights of tickets at the time of use", () => {
  type World = Awaited<ReturnType<typeof setUp>>;

  test.each<[string, (world: World, record: KeyRecord) => Promise<unknown>]>([
    ["revoked", ({ keyStore, clock }, { id }) => revokeKey(keyStore, id, clock.now())],
    ["disabled", ({ keyStore, clock }, { id }) => disableKey(keyStore, id, clock.now())],
    [
      "rotated without an overlap",
      ({ keyStore, clock }, { id }) =>
        keyStore.update(id, (old) => rotateKey(old, mintSecret(id, clock.now(), testMint).secret, clock.now(), 0)),
    ],
    ["left to expire", ({ clock }) => clock.advance(1_000)],
  ])("the ticket of a key that was %s is refused", async (_, end) => {
    const world = await setUp();
    const { key, record } = await world.issueKey({ scopes: ["view"], expiresAt: world.clock.now() + 1_000 });
    const ticket = await world.issueTicket(key);
    await end(world, record);
    expect(await world.refusal({ query: `token=${ticket}` })).toBe("invalid_key");
  });

  test("a ticket of a key that lost rights opens a socket with the remaining rights", async () => {
    const { issueKey, issueTicket, refusal, keyStore, clock, open, path, received } = await setUp();
    const { key, record } = await issueKey({ scopes: ["view", "send"] });
    const [first, second, third] = [await issueTicket(key), await issueTicket(key), await issueTicket(key)];
    const narrow = (patch: Parameters<typeof patchKey>[1]): Promise<unknown> =>
      keyStore.update(record.id, (old) => patchKey(old, patch, clock.now()));
    await narrow({ scopes: ["view"] });
    const frames: Frame[] = [];
    const listener = await open(fakeRequest({ path, query: `token=${first}` }), (frame) => void frames.push(frame));
    say(listener, { ...input, request_id: "r-1" });
    await expect
      .poll(() => frames)
      .toContainEqual(expect.objectContaining({ type: "input_accepted", accepted: false }));
    expect(received.filter(({ type }) => type === "input")).toEqual([]);
    await narrow({ deviceIds: ["device-2"] });
    expect(await refusal({ query: `token=${second}` })).toBe("connection_not_found");
    await narrow({ scopes: ["list"] });
    expect(await refusal({ query: `token=${third}` })).toBe("insufficient_scope");
  });

  test("a ticket of a signed-out session is refused, although its key is valid", async () => {
    const { issueKey, issueTicket, refusal, keyStore, clock } = await setUp();
    const { record } = await issueKey({ scopes: ["view"] });
    const session = mintSecret(record.id, clock.now(), testMint);
    await keyStore.update(record.id, (old) => addSession(old, session.secret, clock.now()));
    const ticket = await issueTicket(session.key);
    await keyStore.update(record.id, (old) => endSession(old, credentialIdOf(session.secret), clock.now()) ?? old);
    expect(await refusal({ query: `token=${ticket}` })).toBe("invalid_key");
  });

  test("the ticket of a JWT that has expired is refused", async () => {
    const issuer = await createTestIssuer();
    const jwt = { ...testJwtSettings, tenant: "default", scopeMap: new Map([["watch", ["view"] as const]]) };
    const { issueTicket, refusal, clock } = await setUp({
      config: { jwt },
      ports: { fetchJwks: (url, signal) => issuer.fetchJwks(url, signal) },
    });
    const sign = (lifetimeSeconds: number): Promise<string> =>
      issuer.sign(clock.now(), {
        claims: { scope: "watch", exp: Math.floor(clock.now() / 1_000) + lifetimeSeconds },
      });
    const short = await sign(10);
    const [redeemed, expired] = [await issueTicket(short), await issueTicket(short)];
    expect(await refusal({ query: `token=${redeemed}` })).toBe("accepted");
    await clock.advance(16_000);
    expect(await refusal({ query: `token=${expired}` })).toBe("invalid_key");
  });

  test("no ticket opens a socket while the keys cannot be read after a change", async () => {
    const keyStore = createMemoryKeyStore();
    const outage = { isDown: false, generation: 0 };
    const failing: KeyStore = {
      ...keyStore,
      find: (id) =>
        outage.isDown ? Promise.reject(new KeyStoreUnavailableError({ cause: new Error("down") })) : keyStore.find(id),
      generation: () => keyStore.generation() + outage.generation,
    };
    const { issueKey, issueTicket, refusal } = await setUp({ ports: { keyStore: failing } });
    const { key } = await issueKey({ scopes: ["view"] });
    const ticket = await issueTicket(key);
    Object.assign(outage, { isDown: true, generation: 1_000 });
    expect(await refusal({ query: `token=${ticket}` })).toBe("key_store_unavailable");
  });
});

describe("frames of viewers as requests", () => {
  test("a viewer's message is audited, limited and deduplicated like a send over HTTP", async () => {
    const { watch, entries, events, received, clock, proxy, connectionId } = await setUp();
    const viewer = await watch(["view", "send"]);
    viewer.say({ ...input, request_id: "r-1" });
    await clock.advance(0);
    expect(viewer.frames).toMatchObject([{ type: "input_accepted", request_id: "r-1", accepted: true }]);
    const facts = { keyId: viewer.record.id, connectionId, deviceId: "device-1", messageIds: ["m-1"] };
    expect(entries).toMatchObject([
      { type: "send_started", ...facts },
      { type: "send_finished", status: 200 },
    ]);
    expect(events.at(-1)).toMatchObject({ type: "request", operation: "sendMessage", status: 200 });
    // The same message over HTTP is a repeat of it.
    const body = JSON.stringify({ agentId: "agent-1", conversationId: "default", messages: [message] });
    const repeat = await proxy.handle(
      fakeRequest({ key: viewer.key, method: "POST", path: `/v1/environments/${connectionId}/messages`, body }),
    );
    expect([repeat.status, repeat.headers["idempotency-replayed"]]).toEqual([200, "true"]);
    expect(received.filter(({ type }) => type === "input")).toHaveLength(1);
  });

  test("a viewer's message that waits for an answer of its device is not sent after the key of the viewer has ended", async () => {
    const { issueKey, open, path, server, device, clock, received, entries } = await setUp();
    const { key } = await issueKey({ scopes: ["view", "send"], agentIds: ["agent-1"] });
    const viewer = await open(fakeRequest({ key, path }));
    const id = "conv-1";
    say(viewer, { ...input, runtime: { ...runtime, conversation_id: id } });
    await clock.advance(1);
    server.closeEnded((holder) => "principal" in holder);
    const { request_id } = received.find(({ type }) => type === "conversation_retrieve") ?? {};
    const conversation = { id, agent_id: "agent-1", summary: null };
    say(device, { type: "conversation_retrieve_response", request_id, success: true, conversation });
    await clock.advance(1);
    expect(received.map(({ type }) => type)).toEqual(["conversation_retrieve"]);
    expect(entries.filter(({ type }) => type === "send_finished")).toMatchObject([{ status: 499 }]);
  });

  test("a viewer's command is in the audit log before it is sent, a refused one with its reason; reads are not recorded", async () => {
    const { watch, entries, received, clock } = await setUp();
    const viewer = await watch(["view", "files"]);
    viewer.say({ type: "read_file", request_id: "r", path: "/secret" });
    viewer.say({ type: "terminal_spawn", terminal_id: "t" });
    viewer.say({ type: "sync", request_id: "s", runtime });
    await clock.advance(0);
    expect(received.map(({ type }) => type)).toEqual(["read_file", "sync"]);
    const facts = { type: "viewer_command", keyId: viewer.record.id, deviceId: "device-1" };
    expect(entries).toHaveLength(2);
    expect(entries).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ ...facts, command: "terminal_spawn", code: "insufficient_scope" }),
        expect.objectContaining({ ...facts, command: "read_file", code: null }),
      ]),
    );
    expect(JSON.stringify(entries)).not.toContain("/secret");
  });

  test("a viewer's command that cannot be recorded is not sent", async () => {
    const { watch, received, clock } = await setUp({ failing: "viewer_command" });
    const viewer = await watch(["view", "files"]);
    viewer.say({ type: "read_file", request_id: "r", path: "/a" });
    await clock.advance(0);
    expect(received).toEqual([]);
    expect(viewer.frames).toMatchObject([{ type: "error", code: "audit_unavailable" }, { success: false }]);
  });
});

describe("limits per device", () => {
  /** A gateway that allows three operations a minute on each device. */
  const setUpLimited = () => {
    const policies = { device: { per: ["device" as const], limit: 3 } };
    const store = createMemoryRateLimitStore({ monotonic: () => 0 });
    const limiterClock = createVirtualClock();
    const rateLimiter = createRateLimiter({
      store,
      localStore: store,
      clock: limiterClock,
      onDegraded: () => undefined,
    });
    return setUp({ ports: { rateLimiter }, config: { rateLimits: resolveRateLimits({ policies }, false).settings } });
  };

  test("tickets, sockets and commands of viewers are counted by the device, whichever of its connections they name", async () => {
    const world = await setUpLimited();
    const { key } = await world.issueKey({ scopes: ["view", "read"], connectionNames: ["bo*"] });
    const other = await world.issueKey({ scopes: ["view"] });
    await world.issueTicket(key);
    expect(await world.refusal({ key: other.key })).toBe("accepted");
    const path = `/v1/environments/${await world.register("device-1")}/status/ws`;
    expect(await world.refusal({ key, path })).toBe("device_offline");
    expect(await world.refusal({ key: other.key, path })).toBe("rate_limited");
    const query = "operation=commandDevice&deviceId=device-1";
    const shown = await world.proxy.handle(fakeRequest({ key: other.key, path: "/v1/ratelimit", query }));
    expect(bodyOf(shown)).toMatchObject({ policies: [{ remaining: 0 }] });
  });

  test("requests of a viewer that cannot access a device are counted as for an unknown connection", async () => {
    const world = await setUpLimited();
    const { key } = await world.issueKey({ scopes: ["view"], deviceIds: ["device-2"] });
    const codes: string[] = [];
    for (const path of [world.path, "/v1/environments/none/status/ws"]) {
      for (let count = 0; count < 4; count++) codes.push(await world.refusal({ key, path }));
    }
    const hidden = ["connection_not_found", "connection_not_found", "connection_not_found", "rate_limited"];
    expect(codes).toEqual([...hidden, ...hidden]);
    const owner = await world.issueKey({ scopes: ["view"] });
    expect(await world.refusal({ key: owner.key })).toBe("accepted");
  });
});

test("viewer sockets and tickets are unavailable with a remote upstream, and the response gives the reason", async () => {
  const { proxy, issueKey, upstreamRequests } = createTestProxy();
  const { key } = await issueKey({ scopes: ["view"] });
  const path = "/v1/environments/conn-1/status/ws";
  const decision = await proxy.upgrade(fakeRequest({ key, path }));
  const refused = [
    decision.kind === "refused" ? problemOf(decision.response) : null,
    problemOf(await proxy.handle(fakeRequest({ key, path: `${path}-ticket`, method: "POST" }))),
  ];
  for (const problem of refused) {
    expect(problem).toMatchObject({ errorCode: "endpoint_not_found", detail: expect.stringContaining("remote") });
  }
  expect(upstreamRequests).toEqual([]);
});
