/** `explain` in front of a remote upstream: requests that the gateway refuses itself, compared with their responses. */
import { refuseInput } from "@letta-environments/environment-server";
import { expect, test } from "vitest";
import { createExplainEndpoint } from "../src/explain/endpoint.ts";
import type { Explanation } from "../src/explain/explanation.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { bodyOf, createTestProxy, problemOf } from "./support/test-proxy.ts";

async function setUp() {
  const world = createTestProxy(undefined, {
    createAdminEndpoints: (parts) => [createExplainEndpoint(parts, refuseInput)],
  });
  const { key: admin } = await world.issueKey({ scopes: ["admin"] });
  const { key, record } = await world.issueKey({ scopes: ["list", "read", "send", "approve", "view"] });
  const post = { method: "POST", headers: { "content-type": "application/json" } };
  async function explain(request: { readonly method: string; readonly path: string; readonly body?: unknown }) {
    const body = JSON.stringify({ keyId: record.id, ...request });
    const response = await world.proxy.handle(fakeRequest({ ...post, key: admin, path: "/admin/v1/explain", body }));
    return bodyOf(response) as Explanation;
  }
  return { ...world, key, explain, post };
}

const messagesPath = "/v1/environments/c-1/messages";
const messages = [0, 1, 2].map((index) => ({
  type: "approval",
  approvals: Array.from({ length: 90 }, (_, position) => ({
    ...{ type: "approval", tool_call_id: `call-${index}-${position}`, approve: true },
  })),
}));
const message = { role: "user", content: "hello", client_message_id: "m-1" };

test.each([
  ["events", { method: "GET", path: "/v1/environments/events" }, "endpoint_not_found"],
  ["events with output", { method: "GET", path: "/v1/environments/events?include=output" }, "endpoint_not_found"],
  [
    "an id twice",
    { method: "POST", path: messagesPath, body: { agentId: "a", messages: [message, message] } },
    "invalid_request",
  ],
  ["too many ids", { method: "POST", path: messagesPath, body: { agentId: "a", messages } }, "invalid_request"],
])("explain shows the refusal by a gateway that asks no upstream: %s", async (_what, request, errorCode) => {
  const { proxy, explain, key, post, upstreamRequests } = await setUp();
  const { verdict, rules } = await explain(request);
  const [path = "", query = ""] = request.path.split("?");
  const body = "body" in request ? { ...post, body: JSON.stringify(request.body) } : {};
  const real = await proxy.handle(fakeRequest({ ...body, key, path, query }));
  expect(problemOf(real).errorCode).toBe(errorCode);
  expect(verdict).toEqual({ status: real.status, errorCode });
  expect(rules.at(-1)).toMatchObject({ result: "refused", errorCode });
  expect(upstreamRequests).toEqual([]);
});

test("explain leaves open what the upstream decides, and names the log of sends for the status of a message", async () => {
  const { explain, upstreamRequests } = await setUp();
  const unknown = { rule: "call the upstream", result: "unknown" };
  const list = await explain({ method: "GET", path: "/v1/environments" });
  expect([list.verdict, list.rules.at(-1)]).toMatchObject([null, unknown]);
  const send = await explain({ method: "POST", path: messagesPath, body: { agentId: "a", messages: [message] } });
  expect([send.verdict, send.rules.at(-1)]).toMatchObject([null, unknown]);
  const status = await explain({ method: "GET", path: `${messagesPath}/m-1` });
  const detail = "the gateway's log of sends was not read: whether it has the message is not known";
  expect([status.verdict, status.rules.at(-1)]).toMatchObject([null, { ...unknown, detail }]);
  expect(upstreamRequests).toEqual([]);
});
