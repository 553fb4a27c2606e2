/** A send through the gateway goes to a row of the tenant's own list that the key may use, or nowhere. */
import { type Environment, type EnvironmentMode, jsonResponse, type PlainResponse } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { environmentRow } from "../../test/support/environment-row.ts";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { bodyOf, createTestProxy, problemOf, type TestProxy } from "../../test/support/test-proxy.ts";
import type { KeyRequest } from "../keys/key-lifecycle.ts";
import { createTestPrincipal } from "../../test/support/create-test-principal.ts";
import { createConnectionLookup, maxSearchPages } from "./connections.ts";
import type { ReadRemote } from "./remote-call.ts";

interface World extends TestProxy {
  readonly rows: Environment[];
  /** Responses that replace the upstream's, by path. */
  readonly broken: Map<string, PlainResponse>;
  /** Paths that were requested since the last call. */
  asked(): string[];
  send(key: string, connectionId?: string, body?: string): Promise<unknown>;
}

let sendCount = 0;

/** A body with its own message. */
function newBody(members: object = { agentId: "agent-1" }): string {
  const message = { role: "user", content: "x", client_message_id: `m-${(sendCount += 1)}` };
  return JSON.stringify({ ...members, messages: [message] });
}

function createWorld(...rows: Environment[]): World {
  const broken = new Map<string, PlainResponse>();
  const testProxy = createTestProxy(({ method, path, query }) => {
    const response = broken.get(path) ?? responseOf(rows, method, path, query);
    return Promise.resolve(response);
  });
  return {
    ...testProxy,
    rows,
    broken,
    asked: () => testProxy.upstreamRequests.splice(0).map(({ method, path }) => `${method} ${path.slice(4)}`),
    async send(key, connectionId = "conn-1", body = newBody()) {
      const path = `/v1/environments/${connectionId}/messages`;
      const response = await testProxy.proxy.handle(fakeRequest({ key, method: "POST", path, body }));
      return response.status === 200 ? 200 : problemOf(response).errorCode;
    },
  };
}

function responseOf(rows: readonly Environment[], method: string, path: string, query: string): PlainResponse {
  if (method === "POST") return jsonResponse(200, { success: true, message: "ok" });
  if (path === "/v1/environments") {
    const after = rows.findIndex(({ id }) => id === new URLSearchParams(query).get("after"));
    const rest = rows.slice(after + 1);
    return jsonResponse(200, { connections: rest.slice(0, 100), hasNextPage: rest.length > 100 });
  }
  const row = rows.find(({ deviceId }) => path === `/v1/environments/${deviceId}`);
  return row === undefined ? jsonResponse(404, { message: "no such device" }) : jsonResponse(200, row);
}

const row = (change: Partial<Environment> = {}): Environment => environmentRow("1", change);
const list = "GET environments";
const device = "GET environments/device-1";
const post = "POST environments/conn-1/messages";

describe("a connection", () => {
  test("every send looks up its connection in the list, and an unknown one is 404 and not forwarded", async () => {
    const { issueKey, send, asked } = createWorld(row());
    const { key } = await issueKey();
    expect(await send(key, "conn-2")).toBe("connection_not_found");
    expect(asked()).toEqual([list]);
    expect(await send(key)).toBe(200);
    expect(asked()).toEqual([list, post]);
  });

  test("a connection is remembered for 5 s, then confirmed by one read of its device", async () => {
    const { issueKey, send, asked, clock } = createWorld(row());
    const { key } = await issueKey();
    await send(key);
    await clock.advance(5_000);
    asked();
    await send(key);
    expect(asked()).toEqual([post]);
    await clock.advance(1);
    await send(key);
    expect(asked()).toEqual([device, post]);
    await clock.advance(5_000);
    await send(key);
    expect(asked()).toEqual([post]);
  });

  test("a connection that its device has replaced is looked up again, and refused if it no longer exists", async () => {
    const { issueKey, send, asked, clock, rows } = createWorld(row());
    const { key } = await issueKey();
    await send(key);
    await clock.advance(6_000);
    rows[0] = row({ connectionId: "conn-9" });
    asked();
    expect(await send(key)).toBe("connection_not_found");
    expect(asked()).toEqual([device, list]);
    rows.length = 0;
    expect(await send(key)).toBe("connection_not_found");
  });

  test("the connection of a device's second listener is found although a read of the device returns the first one", async () => {
    const rows = [
      row({ connectionId: "conn-2" }),
      environmentRow("2", { deviceId: "device-1", connectionId: "conn-1" }),
    ];
    const { issueKey, send, asked, clock } = createWorld(...rows);
    const { key } = await issueKey();
    await send(key);
    await clock.advance(6_000);
    asked();
    expect(await send(key)).toBe(200);
    expect(asked()).toEqual([device, list, post]);
  });

  test("a send to a connection that cannot be confirmed is refused with the reason", async () => {
    const { issueKey, send, asked, clock, broken } = createWorld(row());
    const { key } = await issueKey();
    await send(key);
    await clock.advance(6_000);
    asked();
    broken.set("/v1/environments/device-1", jsonResponse(503, { message: "later" }));
    expect(await send(key)).toBe("upstream_error");
    expect(asked()).toEqual([device, device, device]);
  });

  test("a connection that one key has resolved is looked up again for another key", async () => {
    const { issueKey, send, asked } = createWorld(row());
    await send((await issueKey()).key);
    asked();
    await send((await issueKey({ tenant: "other" })).key);
    expect(asked()).toEqual([list, post]);
  });

  test("a search for a connection reads a bounded number of pages", async () => {
    const page = jsonResponse(200, { connections: [row()], hasNextPage: true });
    const { issueKey, proxy, upstreamRequests } = createTestProxy(() => Promise.resolve(page));
    const { key } = await issueKey();
    const path = "/v1/environments/conn-unknown/messages";
    const response = await proxy.handle(fakeRequest({ key, method: "POST", path, body: newBody() }));
    expect(problemOf(response).errorCode).toBe("upstream_response_too_large");
    expect(upstreamRequests).toHaveLength(maxSearchPages);
  });

  test("a connection beyond row 5,000 is found", async () => {
    const many = Array.from({ length: 6_000 }, (_, index) => environmentRow(String(index + 10_000)));
    const { issueKey, send } = createWorld(...many, row());
    const { key } = await issueKey();
    expect(await send(key)).toBe(200);
  });

  test("after a device is renamed, its new name applies as soon as the connection is confirmed again", async () => {
    const { issueKey, send, clock, rows } = createWorld(row({ connectionName: "ci-1" }));
    const { key } = await issueKey({ connectionNames: ["ci-*"] });
    expect(await send(key)).toBe(200);
    rows[0] = row({ connectionName: "prod-1" });
    await clock.advance(5_001);
    expect(await send(key)).toBe("connection_not_found");
  });
});

test("the number of remembered connections is bounded, and the oldest is dropped", async () => {
  const clock = createVirtualClock();
  const lookup = createConnectionLookup(clock, { capacity: 2, sharesSearches: true });
  const calls: string[] = [];
  const rows = ["1", "2", "3"].map((id) => environmentRow(id));
  const find = async (connectionId: string): Promise<number> => {
    calls.length = 0;
    const read: ReadRemote = ({ operation }) => {
      calls.push(operation);
      return Promise.resolve(jsonResponse(200, { connections: rows, hasNextPage: false }));
    };
    const deadline = { atMs: 30_000, signal: new AbortController().signal };
    await lookup.find(createTestPrincipal(), connectionId, { deadline, readUntil: () => read }, 5_000);
    return calls.length;
  };
  for (const id of ["conn-1", "conn-2", "conn-3"]) await find(id);
  expect([await find("conn-3"), await find("conn-2"), await find("conn-1")]).toEqual([0, 0, 1]);
});

test("of a connection, only the members that are used are remembered, so that large rows do not fill the memory", async () => {
  const lookup = createConnectionLookup(createVirtualClock(), { sharesSearches: true });
  const tags = ["ci", "x".repeat(100_000)];
  const connections = [{ ...row({ tags }), metadata: { os: "x" }, currentMode: "m".repeat(100_000) }];
  const read: ReadRemote = () => Promise.resolve(jsonResponse(200, { connections, hasNextPage: false }));
  const deadline = { atMs: 30_000, signal: new AbortController().signal };
  const found = await lookup.find(createTestPrincipal(), "conn-1", { deadline, readUntil: () => read }, 5_000);
  const { id, deviceId, connectionName, connectionId } = row();
  expect(found).toMatchObject({ kind: "found" });
  expect("row" in found && found.row).toEqual({ id, deviceId, connectionName, connectionId, tags: ["ci"] });
});

test("after a principal is forgotten, an id that was not found is searched for again", async () => {
  const lookup = createConnectionLookup(createVirtualClock(), { sharesSearches: true });
  const rows: Environment[] = [];
  const read: ReadRemote = () => Promise.resolve(jsonResponse(200, { connections: rows, hasNextPage: false }));
  const principal = createTestPrincipal();
  const find = async (): Promise<string> => {
    const deadline = { atMs: 30_000, signal: new AbortController().signal };
    return (await lookup.find(principal, "conn-1", { deadline, readUntil: () => read }, 5_000)).kind;
  };
  expect(await find()).toBe("refused");
  rows.push(row());
  expect(await find()).toBe("refused");
  lookup.forget(principal);
  expect(await find()).toBe("found");
});

describe("keys with a maximum mode", () => {
  test.each<[EnvironmentMode | undefined, unknown]>([
    ["standard", 200],
    ["acceptEdits", 200],
    ["unrestricted", "mode_not_allowed"],
    ["newer", "mode_not_allowed"],
    [undefined, "mode_not_allowed"],
  ])("a key with a maximum mode and a device in mode %s: %s", async (currentMode, expected) => {
    const { issueKey, send, asked } = createWorld(row(currentMode === undefined ? {} : { currentMode }));
    const { key } = await issueKey({ maxMode: "acceptEdits" });
    expect(await send(key)).toBe(expected);
    expect(asked().includes(post)).toBe(expected === 200);
  });

  test.each([
    ["beyond its maximum", { maxMode: "standard" }],
    ["in which a device asks about fewer of the tools that it denies", { deniedTools: ["Bash"] }],
  ])("a stored key that sets a mode %s cannot send", async (_what, limit) => {
    const { issueKey, send, asked } = createWorld(row({ currentMode: "standard" }));
    const { key } = await issueKey({ setMode: "unrestricted", ...limit });
    expect(await send(key)).toBe("mode_not_allowed");
    expect(asked()).not.toContain(post);
  });

  test("a key with a maximum mode reads the device's mode again for each send", async () => {
    const { issueKey, send, asked, rows } = createWorld(row({ currentMode: "standard" }));
    const { key } = await issueKey({ maxMode: "standard" });
    expect(await send(key)).toBe(200);
    rows[0] = row({ currentMode: "unrestricted" });
    asked();
    expect(await send(key)).toBe("mode_not_allowed");
    expect(asked()).toEqual([device]);
  });
});

test.each<[string, Partial<KeyRequest>, unknown]>([
  ["that nothing limits", {}, 200],
  ["that is limited to agents", { agentIds: ["agent-1"] }, "insufficient_scope"],
  ["that is limited to modes", { maxMode: "unrestricted" }, "insufficient_scope"],
  ["that denies tools", { deniedTools: ["Bash"] }, "insufficient_scope"],
])("a decision that grants a lasting permission, with a key %s: %s", async (_which, limit, expected) => {
  const { issueKey, send, asked } = createWorld(row({ currentMode: "standard" }));
  const { key } = await issueKey({ scopes: ["send", "approve"], ...limit });
  const approvals = [{ approve: true, tool_call_id: "call-1", selected_permission_suggestion_ids: ["s"] }];
  const body = JSON.stringify({ agentId: "agent-1", messages: [{ type: "approval", approvals }] });
  expect(await send(key, "conn-1", body)).toBe(expected);
  expect(asked().includes(post)).toBe(expected === 200);
});

test("a key with device ids and name patterns reaches a device by its name alone, wherever it is in the list", async () => {
  const many = Array.from({ length: 5_000 }, (_, index) => environmentRow(String(index + 10_000)));
  const { issueKey, send, proxy } = createWorld(...many, row({ connectionName: "ci-1" }));
  const { key } = await issueKey({ deviceIds: ["device-2"], connectionNames: ["ci-*"] });
  const read = await proxy.handle(fakeRequest({ key, path: "/v1/environments/device-1" }));
  expect([read.status, await send(key)]).toEqual([200, 200]);
});

describe("a key that is restricted to some agents", () => {
  test.each([
    [{ agentId: "agent-1" }, 200],
    [{ agentId: "agent-2" }, "agent_not_allowed"],
    [{ conversationId: "conv-1" }, "agent_not_allowed"],
  ])("a key with an agent allowlist and a body with %j: %s", async (members, expected) => {
    const { issueKey, send, asked } = createWorld(row());
    const { key } = await issueKey({ agentIds: ["agent-1"] });
    expect(await send(key, "conn-1", newBody(members))).toBe(expected);
    expect(asked()).toHaveLength(expected === 200 ? 2 : 0);
  });

  test("the forwarded body is the validated one, so a duplicate agent member has no effect", async () => {
    const { issueKey, send, upstreamRequests } = createWorld(row());
    const { key } = await issueKey({ agentIds: ["agent-1"] });
    const body = newBody();
    expect(await send(key, "conn-1", body.replace("{", '{"agentId":"agent-2","later":1,'))).toBe(200);
    const sent = new TextDecoder().decode(upstreamRequests.at(-1)?.body ?? undefined);
    expect(sent).not.toContain("agent-2");
    expect(JSON.parse(sent)).toEqual({ ...(JSON.parse(body) as object), later: 1 });
  });
});

describe("members that a key can see", () => {
  const hidden = row({
    organizationId: "org-secret",
    podId: "pod-secret",
    userId: "user-secret",
    apiKeyOwner: "secret",
  });

  async function shown(rows: Environment[], request: Partial<KeyRequest>): Promise<[PlainResponse, PlainResponse]> {
    const { issueKey, proxy } = createWorld(...rows);
    const { key } = await issueKey({ tenant: "acme", ...request });
    const get = (path: string): Promise<PlainResponse> => proxy.handle(fakeRequest({ key, path }));
    return [await get("/v1/environments"), await get("/v1/environments/device-1")];
  }

  test.each<Partial<KeyRequest>>([{}, { deviceIds: ["device-1"] }, { connectionNames: ["b*"] }])(
    "a response with %j for a key without scope details has no hidden member, and the tenant as organisation",
    async (request) => {
      for (const response of await shown([{ ...hidden, newer: 1 } as Environment], request)) {
        expect(response.body).not.toContain("secret");
        const body = bodyOf(response) as { connections?: unknown[] };
        expect(body.connections?.[0] ?? body).toMatchObject({ organizationId: "acme", podId: null, newer: 1 });
      }
    },
  );

  test("a response for a key with scope details is unchanged, byte for byte", async () => {
    const [listed, read] = await shown([hidden], { scopes: ["list", "read", "details"] });
    expect(listed.body).toBe(JSON.stringify({ connections: [hidden], hasNextPage: false }));
    expect(read.body).toBe(JSON.stringify(hidden));
  });

  test("a response without hidden members is forwarded unchanged", async () => {
    const plain = row({ organizationId: "acme", podId: null });
    const [listed, read] = await shown([plain], {});
    expect(listed.body).toBe(JSON.stringify({ connections: [plain], hasNextPage: false }));
    expect(read.body).toBe(JSON.stringify(plain));
  });

  test("a device outside a key's patterns is the same 404 as a device that does not exist", async () => {
    const { issueKey, proxy } = createWorld(row());
    const { key } = await issueKey({ connectionNames: ["ci-*"] });
    const read = async (deviceId: string): Promise<unknown> =>
      bodyOf(await proxy.handle(fakeRequest({ key, path: `/v1/environments/${deviceId}` })));
    expect(await read("device-1")).toMatchObject({ errorCode: "environment_not_found" });
    expect(await read("device-1")).toEqual(await read("device-2"));
  });
});

test("a connection that one key has found is searched for again with another key of its tenant", async () => {
  const { send, issueKey, asked } = createWorld(row());
  const [first, second] = [await issueKey(), await issueKey()];
  for (const { key } of [first, second]) {
    expect(await send(key)).toBe(200);
    expect(asked()).toContain(list);
  }
});
