/** The order of the checks, as callers see it: of several reasons to refuse a request, the response names the earliest. */
import { expect, test } from "vitest";
import { revokeKey } from "../test/support/end-keys.ts";
import { fakeRequest } from "../test/support/fake-request.ts";
import { createLimitedProxy } from "../test/support/limited-proxy.ts";
import { problemOf } from "../test/support/test-proxy.ts";

/** Faults of a send in the order of the checks, with the code of the refusal that each causes on its own. */
const faults = [
  ["an unknown path", "endpoint_not_found"],
  ["no key", "missing_key"],
  ["a missing scope", "insufficient_scope"],
  ["an exhausted rate limit", "rate_limited"],
  ["a malformed Idempotency-Key", "invalid_request"],
  ["an invalid body", "malformed_json"],
  ["a key that ends before its late body", "invalid_key"],
  ["an agent beyond the key", "agent_not_allowed"],
  ["an If-Match that does not match", "precondition_failed"],
  ["an unknown connection", "connection_not_found"],
] as const;
type Fault = (typeof faults)[number][0];

/** Sends a message with these faults, using a new key. */
async function refuse(present: readonly Fault[]) {
  const has = (fault: Fault) => present.includes(fault);
  const testProxy = createLimitedProxy({ policies: { sends: { per: ["key"], routes: ["sendMessage"], limit: 1 } } });
  const { key, record } = await testProxy.issueKey({
    scopes: [has("a missing scope") ? "read" : "send"],
    agentIds: ["a1"],
  });
  const message = { role: "user", content: "hello", client_message_id: "m1" };
  const body = { agentId: has("an agent beyond the key") ? "a2" : "a1", messages: [message] };
  const folder = has("an unknown path") ? "surroundings" : "environments";
  const connection = has("an unknown connection") ? "conn-9" : "conn-1";
  const begun = {
    method: "POST",
    path: `/v1/${folder}/${connection}/messages`,
    ...(!has("no key") && { key }),
    headers: {
      "content-type": "application/json",
      ...(has("a malformed Idempotency-Key") && { "idempotency-key": "" }),
      ...(has("an If-Match that does not match") && { "if-match": '"tag"' }),
    },
    body: has("an invalid body") ? "{" : JSON.stringify(body),
  };
  if (has("an exhausted rate limit")) await testProxy.proxy.handle(fakeRequest(begun));
  const { clock, keyStore } = testProxy;
  const awaitBody = async () => {
    if (!has("a key that ends before its late body")) return;
    await revokeKey(keyStore, record.id, clock.now());
    await clock.advance(1_000);
  };
  return problemOf(await testProxy.proxy.handle(fakeRequest({ ...begun, awaitBody })));
}

test.each(faults)("%s is refused before every later check: %s", async (fault, code) => {
  const index = faults.findIndex(([name]) => name === fault);
  const alone = await refuse([fault]);
  expect(alone.errorCode).toBe(code);
  const withLater = await refuse(faults.slice(index).map(([name]) => name));
  expect({ code: withLater.errorCode, detail: withLater.detail }).toEqual({ code, detail: alone.detail });
});
