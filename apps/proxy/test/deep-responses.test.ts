/** Responses of a remote upstream that nest deeply: parsing and serialising one would hold up every tenant for up to a minute. */
import { jsonResponse, maxJsonDepth, type PlainResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { environmentRow } from "./support/environment-row.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { createTestProxy, problemOf } from "./support/test-proxy.ts";

const row = environmentRow("env-1", { deviceId: "laptop", connectionId: "conn-1" });
const own = { agentId: "agent-1", conversationId: "default", deviceId: "laptop" };
const list = { connections: [row], hasNextPage: false };

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
    ["GET", "/v1/environments/runtimes/agent-1/default/last", own],
    ["POST", "/v1/environments/conn-1/messages", { success: true }],
    ["POST", "/v1/environments/conn-1/stop", { stopped: true }],
  ])("the response to %s %s may have 64 levels of nesting, and more are invalid", async (method, path, members) => {
    let depth = maxJsonDepth;
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
    for (depth of [maxJsonDepth + 1, 100_000]) expect(await call()).toBe("upstream_invalid_response");
  });

  test("the text of an error that nests deeply is not passed on", async () => {
    const { proxy, issueKey } = createTestProxy(async () => respond(400, { message: "secret" }, maxJsonDepth + 1));
    const { key } = await issueKey();
    const detail = "The upstream returned status 400.";
    expect(problemOf(await proxy.handle(fakeRequest({ key })))).toMatchObject({ errorCode: "upstream_error", detail });
  });
});
