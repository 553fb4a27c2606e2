/** Decisions that are noted, and then not sent, because their ids cannot be stored. */
import type { ApprovalPolicy } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { allow, decide, payloads } from "./support/decisions.ts";
import { anyone, createHarness, type Harness, userMessage, withApprove } from "./support/harness.ts";

const runtime = { agent_id: "agent-1", conversation_id: "default" };
const asked = { subtype: "can_use_tool", tool_name: "Bash", input: {}, tool_call_id: "call-1" };
const listing = (pending_control_requests: readonly object[]): object => ({
  type: "update_device_status",
  runtime,
  device_status: { pending_control_requests },
});

/** Makes reservations wait. The returned function lets them fail, and the next ones succeed. */
function holdReservations({ store }: Harness): () => void {
  const { reserve } = store;
  let fail: () => void = () => undefined;
  const held = new Promise<never>((_, reject) => {
    fail = () => reject(new Error("disk full"));
  });
  Object.assign(store, { reserve: () => held });
  return () => {
    Object.assign(store, { reserve });
    fail();
  };
}

async function list(harness: Harness): Promise<unknown> {
  const { body } = await harness.call("GET", "/v1/environments/approvals", { principal: withApprove });
  return body["approvals"];
}

function withdrawals({ events }: Harness): number {
  return events.filter(({ type }) => type === "approval_withdrawn").length;
}

/** A connected device with a request, and a decision on it whose ids are being stored. */
async function beginDecision(approvalPolicy: ApprovalPolicy | null = null) {
  const harness = createHarness();
  const connectionId = await harness.register("device-1");
  const socket = await harness.open(connectionId, { ...anyone, approvalPolicy });
  socket.ask("call-1");
  const fail = holdReservations(harness);
  const sent = decide(harness, connectionId, [allow]);
  await harness.settle();
  return { harness, connectionId, socket, sent, fail };
}

test("a request that is gone before its decision fails is not pending again, even after a restart", async () => {
  const { harness, connectionId, socket, sent, fail } = await beginDecision();
  socket.say(listing([]));
  expect(withdrawals(harness)).toBe(0);
  fail();
  expect((await sent).status).toBe(500);
  expect(withdrawals(harness)).toBe(1);
  expect(await list(harness)).toEqual([]);
  expect(await decide(harness, connectionId, [allow])).toMatchObject({ body: { errorCode: "approval_not_found" } });
  await harness.clock.advance(1_000);
  expect(await list(createHarness({ store: harness.store }))).toEqual([]);
});

test("a request whose turn ends before its decision fails is not pending again", async () => {
  const { harness, socket, sent, fail } = await beginDecision();
  socket.say({ type: "turn_finished", runtime, turn_id: "t", run_id: "run-1", stop_reason: "cancelled" });
  fail();
  expect((await sent).status).toBe(500);
  expect(await list(harness)).toEqual([]);
});

test("a request that the device makes again before its decision fails can be decided again", async () => {
  const { harness, connectionId, socket, sent, fail } = await beginDecision();
  socket.say(listing([]));
  socket.ask("call-1");
  fail();
  expect((await sent).status).toBe(500);
  expect(await list(harness)).toMatchObject([{ id: "call-1" }]);
  const again = decide(harness, connectionId, [allow]);
  await harness.settle();
  socket.acknowledge({ accepted: true });
  expect((await again).status).toBe(200);
});

test("a request that is gone while the device is not connected is withdrawn without its decision", async () => {
  const { harness, socket, sent, fail } = await beginDecision();
  socket.say(listing([]));
  socket.listener.onClose(1006);
  fail();
  expect((await sent).status).toBe(500);
  expect(await list(harness)).toEqual([]);
});

test("a policy whose deadline passes before a decision fails denies the request", async () => {
  const { harness, socket, sent, fail } = await beginDecision({ deniedTools: [], deadlineMs: 60_000 });
  await harness.clock.advance(60_000);
  expect(payloads(socket)).toEqual([]);
  fail();
  expect((await sent).status).toBe(500);
  await harness.settle();
  expect(payloads(socket)).toMatchObject([{ request_id: "perm-call-1", decision: { behavior: "deny" } }]);
});

test("the policy of the sender denies a request if the device asks in the turn of its message before the decision fails", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  socket.say(listing([{ request_id: "perm-call-1", request: asked }]));
  const approvalPolicy = { deniedTools: ["Bash"], deadlineMs: null };
  const message = harness.send(
    connectionId,
    { messages: [userMessage("m-1")] },
    { principal: { ...anyone, approvalPolicy } },
  );
  await harness.settle();
  socket.acknowledge({ accepted: true, disposition: "started" });
  await message;
  const fail = holdReservations(harness);
  const sent = decide(harness, connectionId, [allow]);
  await harness.settle();
  socket.ask("call-1");
  fail();
  expect((await sent).status).toBe(500);
  await harness.settle();
  expect(payloads(socket).at(-1)).toMatchObject({ request_id: "perm-call-1", decision: { behavior: "deny" } });
});
