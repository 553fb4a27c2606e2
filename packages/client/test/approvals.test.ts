import type { Approval, DecidedApproval } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { createClient } from "../src/index.ts";
import { respondWithJson, respondWithProblem, scriptFetch } from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";

const approval: Approval = {
  ...{ id: "call-1", connectionId: "c-1", deviceId: "d-1", agentId: "a", conversationId: "conv-1", tool: "Bash" },
  ...{ input: { command: "ls" }, inputTruncated: false, reason: null, suggestions: [], requestedAt: 1, ageMs: 2 },
  ...{ expiresAt: null, clientMessageId: "m-1" },
};

function setUp(...responses: readonly (() => Response)[]) {
  const script = scriptFetch(...responses);
  const { environments } = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch: script.fetch });
  return { script, environments, approvals: environments.approvals };
}

test("approvals.list returns a page, and on a server without approvals an error that says what is missing", async () => {
  const page = { approvals: [approval], hasNextPage: false, cursor: "x.1" };
  const { script, approvals } = setUp(respondWithJson(200, page), respondWithProblem("environment_not_found"));
  expect(await approvals.list({ after: "x.0", limit: 2 })).toEqual(page);
  expect(script.seen[0]?.url).toBe("http://127.0.0.1:1/v1/environments/approvals?after=x.0&limit=2");
  const missing = await catchError(approvals.list());
  expect(missing.message).toMatch(/^the server does not offer listApprovals/);
  for (const query of [{ limit: 0 }, { after: "a/b" }])
    expect(await catchError(approvals.list(query))).toMatchObject({ code: "invalid_argument" });
});

test("approvals.decide sends the decision to the waiting conversation", async () => {
  const { script, approvals } = setUp(respondWithJson(200, { success: true, message: "ok" }));
  await approvals.decide(approval, { approve: false, reason: "not here" });
  await approvals.decide({ ...approval, agentId: null }, { approve: true, updatedInput: { command: "pwd" } });
  const [denied, allowed] = script.seen;
  expect(denied?.url).toBe("http://127.0.0.1:1/v1/environments/c-1/messages");
  expect(JSON.parse(denied?.body ?? "")).toEqual({
    messages: [
      {
        type: "approval",
        approvals: [{ type: "approval", approve: false, tool_call_id: "call-1", reason: "not here", requested_at: 1 }],
      },
    ],
    agentId: "a",
    conversationId: "conv-1",
  });
  const decision = { type: "approval", approve: true, tool_call_id: "call-1", updated_input: { command: "pwd" } };
  // Of a request whose time is not known, whatever waits under the id is decided.
  const { requestedAt: _unknown, ...undated } = approval;
  await approvals.decide(undated, { approve: true });
  expect(JSON.parse(script.seen[2]?.body ?? "").messages[0].approvals).toEqual([
    { type: "approval", approve: true, tool_call_id: "call-1" },
  ]);
  expect(JSON.parse(allowed?.body ?? "")).toEqual({
    messages: [{ type: "approval", approvals: [{ ...decision, requested_at: 1 }] }],
    conversationId: "conv-1",
  });
});

test("a decision selects suggestions of the request, which allow more than this tool call", async () => {
  const accepted = respondWithJson(200, { success: true, message: "ok" });
  const { script, approvals } = setUp(accepted);
  await approvals.decide(approval, { approve: true, suggestions: ["save-default"] });
  expect(JSON.parse(script.seen[0]?.body ?? "").messages[0].approvals).toEqual([
    {
      ...{ type: "approval", approve: true, tool_call_id: "call-1", requested_at: 1 },
      selected_permission_suggestion_ids: ["save-default"],
    },
  ]);
});

test("the error of a later decision has the first; a device that is offline receives none", async () => {
  const { ageMs: _age, expiresAt: _expires, input: _input, inputTruncated: _cut, ...request } = approval;
  const decided: DecidedApproval = { ...request, decision: "deny", decidedBy: "key-2", decidedAt: 5 };
  const { script, approvals } = setUp(
    respondWithJson(409, { title: "x", errorCode: "approval_decided", approval: decided }),
  );
  const error = await catchError(approvals.decide(approval, { approve: true }));
  expect(error).toMatchObject({ code: "approval_decided", problem: { approval: decided } });
  const offline = await catchError(approvals.decide({ ...approval, connectionId: null }, { approve: true }));
  expect(offline).toMatchObject({ code: "device_offline", outcome: "refused" });
  expect(script.seen).toHaveLength(1);
});

test("a decision with an unknown member is refused before any request, because the tool would run without it", async () => {
  const { script, approvals, environments } = setUp(respondWithJson(200, { success: true, message: "ok" }));
  const details = { agentId: "a", updated_input: { command: "ls" } };
  for (const call of [
    approvals.decide(approval, { approve: true, ...{ updated_input: { command: "ls" } } }),
    environments.approve("d-1", "call-1", details),
    environments.deny("d-1", "call-1", details),
  ]) {
    expect(await catchError(call)).toMatchObject({
      ...{ code: "invalid_argument", message: "updated_input is not a known member", outcome: "refused" },
    });
  }
  expect(script.seen).toEqual([]);
});

test("a page of approvals with a next page but no cursor is an invalid response", async () => {
  for (const cursor of [undefined, null]) {
    const { approvals } = setUp(respondWithJson(200, { approvals: [], hasNextPage: true, cursor }));
    expect(await catchError(approvals.list())).toMatchObject({ code: "invalid_response", status: 200 });
  }
});
