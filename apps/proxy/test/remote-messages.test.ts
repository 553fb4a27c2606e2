/** `GET /v1/environments/{connectionId}/messages` in front of a remote upstream. */
import { jsonResponse, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import type { KeyRequest } from "../src/keys/key-lifecycle.ts";
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

describe("messages behind a remote upstream", () => {
  test("are those that the server lists, with the same query, and its page goes on", async () => {
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

  test("have their texts for keys with the scope view alone, if they ask for them", async () => {
    const { list } = await world();
    const without = messages.map(({ clientMessageId }) => [clientMessageId, undefined]);
    expect(shownOf(await list("conn-1", "include=text"))).toEqual(without);
    expect(shownOf(await list("conn-1", "", { scopes: ["read", "view"] }))).toEqual(without);
    expect(shownOf(await list("conn-1", "include=text", { scopes: ["read", "view"] }))).toEqual(
      messages.map(({ clientMessageId }) => [clientMessageId, text.text]),
    );
  });

  test("are only those of the agents that the key may use", async () => {
    const { list } = await world();
    const limited = { scopes: ["read", "view"], agentIds: ["agent-2"] } as const;
    expect(shownOf(await list("conn-1", "include=text", limited))).toEqual([["m-1", text.text]]);
    expect(shownOf(await list("conn-1", "", limited))).toEqual([["m-1", undefined]]);
  });

  test("are listed by the deviceId while the device is offline", async () => {
    const { list, forwarded } = await world();
    expect(shownOf(await list("server"))).toHaveLength(3);
    expect(forwarded().map(({ path }) => path)).toEqual(["/v1/environments/server/messages"]);
  });

  test("of an unknown device and one out of reach are the same 404, and nothing is forwarded", async () => {
    const { list, forwarded } = await world();
    for (const id of ["conn-none", "conn-1", "laptop"]) {
      const response = await list(id, "", { deviceIds: ["server"] });
      expect([response.status, problemOf(response).errorCode]).toEqual([404, "connection_not_found"]);
    }
    expect(forwarded()).toEqual([]);
  });

  test("of a server that does not list messages are endpoint_not_found, and a malformed page is never shown", async () => {
    for (const answer of [
      () => problemResponse("method_not_allowed"),
      () => problemResponse("endpoint_not_found"),
      () => jsonResponse(404, { detail: "Not Found" }),
    ]) {
      const { list } = await world(answer);
      expect(problemOf(await list("conn-1")).errorCode).toBe("endpoint_not_found");
    }
    const { list } = await world(() => jsonResponse(200, { messages: [{ text: "secret" }] }));
    expect(problemOf(await list("conn-1")).errorCode).toBe("upstream_invalid_response");
  });
});
