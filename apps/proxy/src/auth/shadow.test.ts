import { jsonResponse } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { knownConnections } from "../../test/support/known-connections.ts";
import { createTestProxy } from "../../test/support/test-proxy.ts";
import type { KeyRequest } from "../keys/key-lifecycle.ts";
import type { WrapStep } from "../lib/steps.ts";
import { createShadow } from "./shadow.ts";
import { type ShadowRule, shadowRules } from "./shadow-rules.ts";

const message = { role: "user", content: "hello", client_message_id: "m-1" };

/** Sends to an agent, or reads a device, with a restricted key, in shadow mode for these rules. */
async function ask(
  restrictions: Partial<KeyRequest>,
  rules: readonly ShadowRule[] | null,
  request: { readonly agentId: string } | { readonly deviceId: string },
) {
  let wrap: WrapStep = (_name, run) => run;
  const upstream = knownConnections(() => Promise.resolve(jsonResponse(200, { success: true })));
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

test("the allowlist of devices is decided for reads of a device, and not enforced", async () => {
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
