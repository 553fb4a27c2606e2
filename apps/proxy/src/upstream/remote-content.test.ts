import { jsonResponse } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { environmentRow } from "../../test/support/environment-row.ts";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { createTestProxy, problemOf } from "../../test/support/test-proxy.ts";
import type { KeyRequest } from "../keys/key-lifecycle.ts";

const pageOf = (...connections: readonly object[]) => ({ connections, hasNextPage: false });
const rows = (count: number, row: object) => Array.from({ length: count }, () => row);
const approval = { id: "a", deviceId: "device-1", agentId: null, conversationId: "c", requestedAt: 1 };
const approvals = { approvals: rows(1_001, approval), hasNextPage: false, cursor: null };
const list = "/v1/environments";
const device = `${list}/device-1`;
const limited = { deviceIds: ["device-1"] };
const send = {
  method: "POST",
  path: `${list}/conn-1/messages`,
  body: JSON.stringify({ agentId: "a", messages: [{ role: "user", content: "x", client_message_id: "m" }] }),
};
const failed = (operation: string, reason: string) => {
  const contentType = "application/json";
  return { type: "upstream_failed", operation, reason, status: 200, contentType, cause: null };
};

test.each<[what: string, request: object, content: object, event: object, key?: Partial<KeyRequest>]>([
  ["the row of another device", { path: device }, environmentRow("2"), failed("retrieveEnvironment", "other_device")],
  ["a row that is not one", { path: device }, { id: "1" }, failed("retrieveEnvironment", "invalid")],
  ["1,001 rows", { path: list }, pageOf(...rows(1_001, environmentRow("1"))), failed("listEnvironments", "invalid")],
  ["a long id", { path: list }, pageOf(environmentRow("1".repeat(257))), failed("listEnvironments", "invalid")],
  ["no rows", { path: list }, { success: true }, failed("listEnvironments", "invalid"), limited],
  ["1,001 requests", { path: `${list}/approvals` }, approvals, failed("listApprovals", "invalid")],
  [
    "1,001 requests for a limited key",
    { path: `${list}/approvals` },
    approvals,
    failed("listApprovals", "invalid"),
    { agentIds: ["a"] },
  ],
  ["a row that a look-up reads", send, environmentRow("2"), failed("retrieveEnvironment", "other_device"), limited],
])(
  "content that the gateway cannot use is 502, and the log has the reason alone: %s",
  async (...[, request, content, event, grants]) => {
    const { events, issueKey, proxy } = createTestProxy(() => Promise.resolve(jsonResponse(200, content)));
    const { key } = await issueKey({ scopes: ["list", "read", "send", "approve"], ...grants });
    const response = await proxy.handle(fakeRequest({ key, ...request }));
    expect([response.status, problemOf(response).errorCode]).toEqual([502, "upstream_invalid_response"]);
    expect(events.filter(({ type }) => type === "upstream_failed")).toEqual([event]);
  },
);
