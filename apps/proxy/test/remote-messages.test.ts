/** `GET /v1/environments/{connectionId}/messages` in front of a remote upstream. */
import { createEnvironmentServer } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import type { Clock } from "@letta-environments/platform";
import { openSqlite, randomId, sha256Hex } from "@letta-environments/platform/node";
import { jsonResponse, type MessageList, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import type { KeyRequest } from "../src/keys/key-lifecycle.ts";
import { createTestPrincipal } from "./support/create-test-principal.ts";
import { environmentRow } from "./support/environment-row.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { createTestProxy, problemOf } from "./support/test-proxy.ts";

const rows = [
  environmentRow("env-1", { deviceId: "laptop", connectionId: "conn-1", connectionName: "laptop" }),
  environmentRow("env-2", { deviceId: "server", connectionId: null, connectionName: "server" }),
];

const text = { text: "secret reply", textTruncated: false };
const messages = [
  { clientMessageId: "m-2", agentId: "agent-1", conversationId: "default", deviceId: "laptop", state: "finished" },
  { clientMessageId: "m-1", agentId: "agent-2", conversationId: "default", deviceId: "laptop", state: "failed" },
  { clientMessageId: "m-0", agentId: null, conversationId: "c-1", deviceId: "laptop", state: "unknown" },
].map((message) => ({ ...message, ...text, future: 1 }));
const page = { messages, hasNextPage: true, cursor: "1000.WyJhIl0" };

async function world(answer: () => PlainResponse = () => jsonResponse(200, page)) {
  const { proxy, issueKey, upstreamRequests } = createTestProxy(async ({ path: pathname }) => {
    if (pathname.endsWith("/messages")) return answer();
    if (pathname === "/v1/environments") return jsonResponse(200, { connections: rows, hasNextPage: false });
    const row = rows.find(({ deviceId }) => pathname === `/v1/environments/${deviceId}`);
    return row === undefined ? problemResponse("environment_not_found") : jsonResponse(200, row);
  });
  return {
    forwarded: () => upstreamRequests.filter(({ path }) => path.endsWith("/messages")),
    async list(id: string, query = "", request: Partial<KeyRequest> = {}) {
      const { key } = await issueKey({ scopes: ["read"], ...request });
      return proxy.handle(fakeRequest({ key, path: `/v1/environments/${id}/messages`, query }));
    },
  };
}

function shownOf({ status, body }: PlainResponse): unknown {
  const list: typeof page = JSON.parse(String(body));
  return status === 200 ? list.messages.map(({ clientMessageId, text: shown }) => [clientMessageId, shown]) : status;
}

describe("messages with a remote upstream", () => {
  test("messages with a remote upstream are listed by the server with the same query, page by page", async () => {
    const { list, forwarded } = await world();
    const response = await list("conn-1", "limit=3&state=finished&state=failed&include=text&after=1000.WyJhIl0");
    expect(response.status).toBe(200);
    expect(JSON.parse(String(response.body))).toMatchObject({ hasNextPage: true, cursor: page.cursor });
    const [sent] = forwarded();
    expect(sent?.path).toBe("/v1/environments/conn-1/messages");
    const query = new URLSearchParams(sent?.query);
    expect(query.getAll("state")).toEqual(["finished", "failed"]);
    expect([query.get("limit"), query.get("after")]).toEqual(["3", "1000.WyJhIl0"]);
  });

  test("messages have their texts only for keys with the scope view, if they ask for them", async () => {
    const { list } = await world();
    const without = messages.map(({ clientMessageId }) => [clientMessageId, undefined]);
    expect(shownOf(await list("conn-1", "include=text"))).toEqual(without);
    expect(shownOf(await list("conn-1", "", { scopes: ["read", "view"] }))).toEqual(without);
    expect(shownOf(await list("conn-1", "include=text", { scopes: ["read", "view"] }))).toEqual(
      messages.map(({ clientMessageId }) => [clientMessageId, text.text]),
    );
  });

  test("messages are selected by the server where the key is limited to agents", async () => {
    const { list, forwarded } = await world(() => jsonResponse(200, { ...page, messages: messages.slice(1, 2) }));
    const limited = { scopes: ["read", "view"], agentIds: ["agent-2", "agent-3"] } as const;
    expect(shownOf(await list("conn-1", "include=text", limited))).toEqual([["m-1", text.text]]);
    await list("conn-1", "agentId=agent-1&agentId=agent-2&limit=3", limited);
    const queries = forwarded().map(({ query }) => new URLSearchParams(query));
    expect(queries.map((query) => query.getAll("agentId"))).toEqual([["agent-2", "agent-3"], ["agent-2"]]);
    expect(queries.at(1)?.get("limit")).toBe("3");
  });

  test("a query for only other agents' messages is an empty page, and nothing is forwarded", async () => {
    const { list, forwarded } = await world();
    const response = await list("conn-1", "agentId=agent-1", { agentIds: ["agent-2"] });
    expect([response.status, JSON.parse(String(response.body))]).toEqual([
      200,
      { messages: [], hasNextPage: false, cursor: null },
    ]);
    expect(forwarded()).toEqual([]);
  });

  test("messages for a key with more agents than can be named need agents in the query", async () => {
    const { list } = await world();
    const agentIds = Array.from({ length: 101 }, (_, index) => `agent-${index}`);
    expect(problemOf(await list("conn-1", "", { agentIds })).errorCode).toBe("invalid_request");
    expect((await list("conn-1", "agentId=other", { agentIds })).status).toBe(200);
  });

  test("messages that the server did not select are never shown, nor is their cursor", async () => {
    const { list } = await world();
    const response = await list("conn-1", "", { agentIds: ["agent-2"] });
    expect([response.status, problemOf(response).errorCode]).toEqual([502, "upstream_invalid_response"]);
    expect(String(response.body)).not.toContain("cursor");
  });

  test("messages are listed by the deviceId while the device is offline", async () => {
    const { list, forwarded } = await world();
    expect(shownOf(await list("server"))).toHaveLength(3);
    expect(forwarded().map(({ path }) => path)).toEqual(["/v1/environments/server/messages"]);
  });

  test("messages of an unknown device and of one that the key cannot access are the same 404, and nothing is forwarded", async () => {
    const { list, forwarded } = await world();
    for (const id of ["conn-none", "conn-1", "laptop"]) {
      const response = await list(id, "", { deviceIds: ["server"] });
      expect([response.status, problemOf(response).errorCode]).toEqual([404, "connection_not_found"]);
    }
    expect(forwarded()).toEqual([]);
  });

  test("messages of a server that does not list them are endpoint_not_found, and a malformed page is never shown", async () => {
    for (const answer of [
      () => problemResponse("method_not_allowed"),
      () => problemResponse("endpoint_not_found"),
      () => jsonResponse(404, { detail: "Not Found" }),
      () => jsonResponse(501, { detail: "Not Implemented" }),
    ]) {
      const { list } = await world(answer);
      expect(problemOf(await list("conn-1")).errorCode).toBe("endpoint_not_found");
    }
    const { list } = await world(() => jsonResponse(200, { messages: [{ text: "secret" }] }));
    expect(problemOf(await list("conn-1")).errorCode).toBe("upstream_invalid_response");
  });
});

/** A gateway in front of an environment server whose device has messages of several agents, the latest first. */
async function realServer(agents: readonly string[]) {
  const time = createVirtualClock();
  // A list waits between its parts, until other work has run.
  const setTimer: Clock["setTimer"] = (ms, run) => {
    if (ms > 0) return time.setTimer(ms, run);
    queueMicrotask(run);
    return () => undefined;
  };
  const clock = { ...time, setTimer };
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const server = createEnvironmentServer({
    ...{ store, clock, sha256: sha256Hex, randomId, podId: "pod-1", publicUrl: "https://server.example", settleMs: 0 },
  });
  const owner = createTestPrincipal({ scopes: new Set(["connect", "list", "read"]) });
  const device = { deviceId: "laptop", connectionName: "laptop" };
  await server.handle(
    {
      ...{ method: "POST", path: "/v1/environments/register", query: "", headers: {} },
      body: new TextEncoder().encode(JSON.stringify(device)),
    },
    owner,
    { authority: null },
  );
  const [row] = await store.findEnvironments(owner.tenant, "laptop");
  const status = { disposition: null, stopReason: null, error: null, usage: null, durationMs: null, reply: null };
  await store.saveMessages(
    agents.map((agentId, index) => ({
      scope: { environmentId: row?.id ?? "", agentId, conversationId: `c-${agentId}` },
      messageId: `m-${index}`,
      deliveryId: `d-${index}`,
      approvalPolicy: null,
      status: { ...status, state: agentId === "agent-2" ? "failed" : "finished" },
      sentAt: clock.now() - index,
      updatedAt: clock.now(),
    })),
  );
  const { proxy, issueKey } = createTestProxy((request) => server.handle(request, owner, { authority: null }));
  return {
    /** Every page of a key that is limited to agents. */
    async pages(agentIds: readonly string[], query = ""): Promise<MessageList[]> {
      const { key } = await issueKey({ scopes: ["read"], agentIds });
      const found: MessageList[] = [];
      for (let after = ""; ;) {
        const response = await proxy.handle(
          fakeRequest({ key, path: "/v1/environments/laptop/messages", query: `${query}${after}` }),
        );
        expect(response.status).toBe(200);
        const list: MessageList = JSON.parse(String(response.body));
        found.push(list);
        if (!list.hasNextPage) return found;
        after = `&after=${list.cursor}`;
      }
    },
  };
}

/** The ids that a cursor of the environment server names. */
function namedBy({ cursor }: MessageList): unknown {
  return cursor === null ? null : JSON.parse(Buffer.from(cursor.split(".")[1] ?? "", "base64url").toString());
}

describe("keys that are limited to agents", () => {
  test("pages, page counts and cursors reveal nothing about other agents' messages to a key that is limited to agents", async () => {
    const { pages } = await realServer(["agent-2", "agent-1", "agent-2", "agent-2", "agent-3", "agent-1", "agent-2"]);
    const own = await pages(["agent-1"], "limit=1");
    expect(own.map(namedBy)).toEqual([
      ["m-1", "agent-1", "c-agent-1"],
      ["m-5", "agent-1", "c-agent-1"],
    ]);
    const both = await pages(["agent-1", "agent-3"], "limit=2");
    expect(both.flatMap(({ messages }) => messages.map((each) => each.clientMessageId))).toEqual(["m-1", "m-4", "m-5"]);
    expect(both.map(namedBy)).toEqual([
      ["m-4", "agent-3", "c-agent-3"],
      ["m-5", "agent-1", "c-agent-1"],
    ]);
  });

  test("filters reveal nothing about other agents' states and conversations to a key that is limited to agents", async () => {
    const { pages } = await realServer(["agent-2", "agent-1", "agent-2"]);
    const [failed, ...more] = await pages(["agent-1"], "limit=1&state=failed");
    expect([failed?.messages, failed && namedBy(failed), more]).toEqual([[], ["m-1", "agent-1", "c-agent-1"], []]);
    const nothing = { messages: [], hasNextPage: false, cursor: null };
    expect(await pages(["agent-1"], "limit=1&conversationId=c-agent-2")).toEqual([nothing]);
    expect(await pages(["agent-1"], "limit=1&agentId=agent-2")).toEqual([nothing]);
  });
});
