/** Responses of a remote upstream that nest deeply: parsing and serialising one would hold up every tenant for up to a minute. */
import { jsonResponse, maxJsonDepth, type PlainResponse } from "@letta-environments/schema";
import { describe, expect, test, vi } from "vitest";
import { createDeviceWorld } from "./support/device-world.ts";
import { environmentRow } from "./support/environment-row.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { bodyOf, createTestProxy, problemOf } from "./support/test-proxy.ts";

const row = environmentRow("env-1", { deviceId: "laptop", connectionId: "conn-1" });
const own = { agentId: "agent-1", conversationId: "default", deviceId: "laptop" };
const runtime = {
  ...{ environmentId: null, deviceId: "laptop", connectionName: "laptop", metadata: null, status: "online" },
  ...{ isOnline: true, lastSeenAt: null, lastUsedAt: 1, source: "environment" },
};
const list = { connections: [row], hasNextPage: false };

const maxDepth = 2 * maxJsonDepth;

/** A response whose members nest this deeply. Brackets in a text are no levels. */
function respond(status: number, members: object, depth: number): PlainResponse {
  const others = JSON.stringify({ ...members, text: '\\"[{'.repeat(100) }).slice(1);
  const body = `{"deep":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)},${others}`;
  return { status, headers: { "content-type": "application/json" }, body: new TextEncoder().encode(body) };
}

describe("responses of an upstream that nest deeply", () => {
  test.each([
    ["GET", "/v1/environments", list],
    ["GET", "/v1/environments/laptop", row],
    ["GET", "/v1/environments/conn-1/messages", { messages: [own], hasNextPage: false, cursor: null }],
    ["GET", "/v1/environments/approvals", { approvals: [], hasNextPage: false, cursor: null }],
    ["GET", "/v1/environments/runtimes/agent-1/default/last", runtime],
    ["POST", "/v1/environments/conn-1/messages", { success: true }],
    ["POST", "/v1/environments/conn-1/stop", { stopped: true }],
  ])("the response to %s %s may have 128 levels of nesting, and more are invalid", async (method, path, members) => {
    let depth = maxDepth;
    const { proxy, issueKey } = createTestProxy((request) => {
      const isAsked = request.path === path && request.method === method && request.query !== "limit=100";
      return Promise.resolve(isAsked ? respond(200, members, depth) : jsonResponse(200, list));
    });
    const { key } = await issueKey({ scopes: ["list", "read", "send", "control", "approve"] });
    const call = async (): Promise<unknown> => {
      const message = { role: "user", content: "x", client_message_id: `m-${depth}` };
      const sent = JSON.stringify({ agentId: "agent-1", conversationId: "default", messages: [message] });
      const body = method === "POST" ? sent : null;
      const response = await proxy.handle(fakeRequest({ key, method, path, body }));
      return response.status === 200 ? 200 : problemOf(response).errorCode;
    };
    expect(await call()).toBe(200);
    for (depth of [maxDepth + 1, 100_000]) expect(await call()).toBe("upstream_invalid_response");
  });

  test("the text of an error that nests deeply is not passed on", async () => {
    const { proxy, issueKey } = createTestProxy(async () => respond(400, { message: "secret" }, maxDepth + 1));
    const { key } = await issueKey();
    const detail = "The upstream returned status 400.";
    expect(problemOf(await proxy.handle(fakeRequest({ key })))).toMatchObject({ errorCode: "upstream_error", detail });
  });
});

test("a device with the deepest metadata that is accepted keeps neither lists nor sends from passing through two gateways", async () => {
  const back = await createDeviceWorld();
  const { key } = await back.issueKey({ scopes: ["list", "read", "send", "connect"] });
  const front = createTestProxy(async ({ method, path, query, headers, body }) => {
    const more = { method, path, query, headers: { ...headers, authorization: `Bearer ${key}` }, body };
    const response = await back.proxy.handle(fakeRequest(more));
    return { ...response, body: response.body ?? "" };
  });
  const register = async (depth: number): Promise<number> => {
    const deep = "[".repeat(depth - 2) + "]".repeat(depth - 2);
    const body = `{"deviceId":"deep","connectionName":"deep","metadata":{"deep":${deep}}}`;
    const request = fakeRequest({ key, method: "POST", path: "/v1/environments/register", body });
    return (await back.proxy.handle(request)).status;
  };
  expect([await register(maxJsonDepth + 1), await register(maxJsonDepth)]).toEqual([400, 200]);

  const caller = await front.issueKey();
  const list = await front.proxy.handle(fakeRequest({ key: caller.key }));
  expect(bodyOf(list)).toMatchObject({ connections: [{ deviceId: "device-1" }, { deviceId: "deep" }] });
  const messages = [{ role: "user", content: "x", client_message_id: "m-1" }];
  const sent = front.proxy.handle(
    fakeRequest({
      ...{ key: caller.key, method: "POST", path: `/v1/environments/${back.connectionId}/messages` },
      body: JSON.stringify({ agentId: "agent-1", messages }),
    }),
  );
  await vi.waitUntil(() => back.frames.some(({ type }) => type === "input"));
  back.acknowledge();
  expect(await sent).toMatchObject({ status: 200 });
});
