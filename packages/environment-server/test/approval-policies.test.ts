/** Decisions of policies on requests for permission, on a virtual clock. */
import type { ApprovalPolicy, Principal } from "@letta-environments/schema";
import { openSqlite } from "@letta-environments/platform/node";
import { describe, expect, test } from "vitest";
import { maxParsedLength } from "../src/limits.ts";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { type Answer, anyone, createHarness, type Harness, userMessage, withApprove } from "./support/harness.ts";

async function list(harness: Harness): Promise<unknown> {
  const { body } = await harness.call("GET", "/v1/environments/approvals", { principal: withApprove });
  return body["approvals"];
}

function decide(harness: Harness, connectionId: string, toolCallId: string, approve: boolean): Promise<Answer> {
  const approvals = [{ approve, tool_call_id: toolCallId }];
  const body = { agentId: "agent-1", messages: [{ type: "approval", approvals }] };
  return harness.call("POST", `/v1/environments/${connectionId}/messages`, { body, principal: withApprove });
}

describe("approval policies", () => {
  const noPolicy: ApprovalPolicy = { deniedTools: [], deadlineMs: null };
  const policy = (change: Partial<ApprovalPolicy>): ApprovalPolicy => ({ ...noPolicy, ...change });

  async function connectWith(harness: Harness, approvalPolicy: ApprovalPolicy) {
    const connectionId = await harness.register("device-1");
    return { connectionId, socket: await harness.open(connectionId, { ...anyone, approvalPolicy }) };
  }

  function denials(socket: FakeSocket): unknown[] {
    return socket.inputs().flatMap(({ payload }) => ("decision" in payload ? [payload.decision] : []));
  }

  test("a policy with a deadline denies a request with a text at that time, and not before", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectWith(harness, policy({ deadlineMs: 60_000 }));
    socket.ask("call-1");
    socket.ask("call-2");
    expect(await list(harness)).toMatchObject([{ expiresAt: expect.any(Number) }, {}]);
    const sent = decide(harness, connectionId, "call-2", true);
    await harness.settle();
    socket.acknowledge({ accepted: true });
    await sent;
    await harness.clock.advance(59_999);
    expect(denials(socket)).toHaveLength(1);
    await harness.clock.advance(1);
    expect(denials(socket)).toEqual([
      { behavior: "allow" },
      {
        behavior: "deny",
        message: "Nobody decided on this request within 60 seconds, so the environment server denied it.",
      },
    ]);
    socket.acknowledge({ accepted: true });
    await harness.settle();
    expect(harness.events).toContainEqual(
      expect.objectContaining({
        type: "approval_decided",
        toolCallId: "call-1",
        decidedBy: "policy:deadline",
        behavior: "deny",
      }),
    );
    expect(await decide(harness, connectionId, "call-1", true)).toMatchObject({
      status: 409,
      body: { approval: { decision: "deny", decidedBy: "policy:deadline" } },
    });
  });

  test("a policy with denied tools denies their requests immediately, and no others", async () => {
    const harness = createHarness();
    const { socket } = await connectWith(harness, policy({ deniedTools: ["Bash", "Web*"] }));
    socket.onFrame = ({ request_id: id }) => socket.acknowledge({ accepted: true }, String(id));
    socket.ask("call-1");
    socket.ask("call-2", { tool_name: "WebFetch" });
    socket.ask("call-3", { tool_name: "Read" });
    await harness.settle();
    expect(denials(socket)).toEqual(
      ["Bash", "WebFetch"].map((tool) => ({
        behavior: "deny",
        message: `A rule of the environment server does not allow the tool ${tool}.`,
      })),
    );
    expect(await list(harness)).toMatchObject([{ id: "call-3" }]);
  });

  test.each([
    ["has many brackets", "[".repeat(80)],
    ["is too long to be parsed", "x".repeat(maxParsedLength)],
  ])("a policy denies the tool of a request whose command %s", async (_, command) => {
    const harness = createHarness();
    const { socket } = await connectWith(harness, policy({ deniedTools: ["Bash"] }));
    socket.ask("call-1", { input: { command } });
    await harness.settle();
    expect(denials(socket)).toMatchObject([{ behavior: "deny" }]);
  });

  test("a policy denies the tool of a request beyond the limit of remembered requests", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectWith(harness, policy({ deniedTools: ["Bash"] }));
    socket.onFrame = ({ request_id: id }) => socket.acknowledge({ accepted: true }, String(id));
    for (let call = 0; call < 100; call++) socket.ask(`call-${call}`, { tool_name: "Read" });
    socket.ask("beyond");
    socket.ask("beyond");
    socket.ask("beyond-2", { tool_name: "Read" });
    await harness.settle();
    expect(socket.inputs()).toMatchObject([{ payload: { request_id: "perm-beyond", decision: { behavior: "deny" } } }]);
    expect(await list(harness)).toHaveLength(50);
    expect(harness.events.filter(({ type }) => type === "approval_decided")).toEqual([
      {
        type: "approval_decided",
        ...{ tenant: "acme", deviceId: "device-1", environmentId: expect.any(String), connectionId },
        ...{ agentId: "agent-1", conversationId: "default", toolCallId: "beyond", tool: "Bash" },
        ...{ behavior: "deny", decidedBy: "policy:denied_tool", outcome: "accepted" },
      },
    ]);
  });

  test("a policy repeats its denial of an unremembered request if the device had too many unacknowledged sends", async () => {
    const harness = createHarness();
    const { socket } = await connectWith(harness, policy({ deniedTools: ["Bash"] }));
    for (let call = 0; call < 100; call++) socket.ask(`call-${call}`, { tool_name: "Read" });
    for (let call = 0; call < 70; call++) socket.ask(`beyond-${call}`);
    await harness.settle();
    expect(denials(socket)).toHaveLength(64);
    await harness.clock.advance(15_000);
    expect(denials(socket)).toHaveLength(70);
    socket.acknowledge({ accepted: true });
    await harness.clock.advance(60_000);
    expect(denials(socket)).toHaveLength(70);
    const outcomes = harness.events.flatMap((event) => (event.type === "approval_decided" ? [event.outcome] : []));
    expect([outcomes.length, outcomes.filter((outcome) => outcome === "accepted").length]).toEqual([70, 1]);
  });

  test("a policy does not repeat a denial that the device rejected, or after the device disconnected", async () => {
    const harness = createHarness();
    const { socket } = await connectWith(harness, policy({ deniedTools: ["Bash"] }));
    for (let call = 0; call < 100; call++) socket.ask(`call-${call}`, { tool_name: "Read" });
    socket.ask("beyond");
    await harness.settle();
    socket.acknowledge({ accepted: false, error: "No pending approval" });
    await harness.clock.advance(60_000);
    expect(denials(socket)).toHaveLength(1);
    expect(harness.events.filter(({ type }) => type === "approval_decided")).toEqual([]);
    for (let call = 0; call < 70; call++) socket.ask(`beyond-${call}`);
    await harness.settle();
    socket.listener.onClose(1006);
    await harness.clock.advance(60_000);
    expect(denials(socket)).toHaveLength(65);
  });

  test("a tenant's policy applies whatever devices of another tenant request before they disconnect", async () => {
    const harness = createHarness();
    for (let device = 0; device < 50; device++) {
      const principal = { ...anyone, tenant: "other", keyId: `other-${Math.floor(device / 10)}` };
      const { body } = await harness.call("POST", "/v1/environments/register", {
        body: { deviceId: `other-${device}`, connectionName: "other" },
        principal,
      });
      const socket = await harness.open(String(body["connectionId"]), principal);
      for (let call = 0; call < 100; call++) socket.ask(`call-${call}`);
      socket.listener.onClose(1006);
    }
    const { socket } = await connectWith(harness, policy({ deniedTools: ["Bash"], deadlineMs: 60_000 }));
    socket.ask("call-1", { tool_name: "Read" });
    await harness.clock.advance(1);
    socket.ask("call-2");
    expect(await list(harness)).toMatchObject([{ id: "call-1" }, { id: "call-2" }]);
    await harness.settle();
    expect(denials(socket)).toMatchObject([{ behavior: "deny" }]);
    socket.acknowledge({ accepted: true });
    await harness.clock.advance(60_000);
    expect(denials(socket)).toHaveLength(2);
  });

  test("a policy applies to a device whatever other devices of its key requested before they disconnected", async () => {
    const harness = createHarness();
    for (let device = 0; device < 10; device++) {
      const { socket } = await harness.connect(`gone-${device}`);
      for (let call = 0; call < 100; call++) socket.ask(`call-${call}`);
      socket.listener.onClose(1006);
    }
    const { socket } = await connectWith(harness, policy({ deadlineMs: 60_000 }));
    socket.ask("mine");
    const { body } = await harness.call("GET", "/v1/environments/device-1", { principal: withApprove });
    expect(body["pendingApprovals"]).toBe(1);
    await harness.clock.advance(60_000);
    expect(denials(socket)).toHaveLength(1);
  });

  test("the policy of the sender applies to the turns of its messages; the earlier of two deadlines counts", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectWith(harness, policy({ deadlineMs: 60_000 }));
    const principal: Principal = { ...anyone, approvalPolicy: policy({ deadlineMs: 10_000 }) };
    const sent = harness.send(connectionId, {}, { principal });
    await harness.settle();
    socket.acknowledge();
    await sent;
    socket.ask("call-1");
    socket.ask("call-2", {}, "agent-2");
    await harness.clock.advance(10_000);
    expect(socket.inputs().at(-1)).toMatchObject({ payload: { request_id: "perm-call-1" } });
    expect(denials(socket)).toHaveLength(1);
    await harness.clock.advance(50_000);
    expect(denials(socket)).toHaveLength(2);
  });

  test.each(["the device has reconnected", "the gateway was restarted", "the gateway was killed when it had sent it"])(
    "the policy of the sender applies to requests of the same turn after %s",
    async (what) => {
      const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
      let harness = createHarness({ store });
      const connectionId = await harness.register("device-1");
      const socket = await harness.open(connectionId);
      const sent = harness.send(
        connectionId,
        { messages: [userMessage("m-1")] },
        { principal: { ...anyone, approvalPolicy: policy({ deniedTools: ["Bash"] }) } },
      );
      await harness.settle();
      expect(socket.inputs()).toHaveLength(1);
      if (what !== "the gateway was killed when it had sent it") {
        socket.acknowledge();
        await sent;
        await harness.clock.advance(1_000);
        socket.listener.onClose(1006);
      }
      if (what !== "the device has reconnected") harness = createHarness({ store });
      const again = await harness.open(connectionId);
      again.onFrame = ({ type, request_id: id }) => {
        if (type === "input") again.acknowledge({ accepted: true }, String(id));
      };
      await harness.clock.advance(1_000);
      // A device that is asked for the state of a conversation names the pending request first, and then the run with its message.
      again.ask("call-1");
      again.ask("call-2", { tool_name: "Read" });
      again.say({
        type: "update_loop_status",
        runtime: { agent_id: "agent-1", conversation_id: "default" },
        loop_status: {
          status: "WAITING_ON_APPROVAL",
          active_run_ids: ["run-1"],
          executing_tool_call_ids: [],
          client_message_ids_by_run_id: { "run-1": ["m-1"] },
        },
      });
      await harness.settle();
      expect(denials(again)).toMatchObject([{ behavior: "deny" }]);
      expect(await list(harness)).toMatchObject([{ id: "call-2", clientMessageId: "m-1" }]);
    },
  );

  test("a policy denies later if the device has too many unacknowledged sends", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectWith(harness, policy({ deniedTools: ["Bash"] }));
    const sends = Array.from({ length: 64 }, (_, index) =>
      harness.send(connectionId, { messages: [userMessage(`m-${index}`)], conversationId: `conv-${index}` }),
    );
    await harness.settle();
    socket.ask("call-1");
    await harness.settle();
    expect(denials(socket)).toEqual([]);
    await harness.clock.advance(20_000);
    await Promise.all(sends);
    expect(denials(socket)).toHaveLength(1);
  });

  test("a policy whose deadline passes while the device is away denies the request when the device asks again", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectWith(harness, policy({ deadlineMs: 60_000 }));
    socket.ask("call-1");
    socket.listener.onClose(1006);
    await harness.clock.advance(100_000);
    const again = await harness.open(connectionId);
    again.ask("call-1");
    await harness.settle();
    expect(denials(again)).toMatchObject([{ behavior: "deny" }]);
  });

  test.each([
    ["denied tools", {}, { deniedTools: ["Bash"] }, 0],
    ["denied tools, even before its device asks again,", {}, { deniedTools: ["Bash"] }, 0, false],
    ["a deadline that has passed", {}, { deadlineMs: 10_000 }, 0],
    ["a deadline", {}, { deadlineMs: 60_000 }, 40_000],
    ["an earlier deadline", { deadlineMs: 90_000 }, { deadlineMs: 60_000 }, 40_000],
    ["no deadline, and so does the old one,", { deadlineMs: 60_000 }, {}, 40_000],
  ])(
    "a policy with %s applies to a request that waits when the policy changes",
    async (_, old, changed, delayMs, asksAgain = true) => {
      const harness = createHarness();
      const { connectionId, socket } = await connectWith(harness, policy(old));
      socket.ask("call-1");
      await harness.clock.advance(20_000);
      harness.server.closeChanged(() => true);
      const again = await harness.open(connectionId, { ...anyone, approvalPolicy: policy(changed) });
      const reconnectedAt = harness.clock.now();
      const deniedAfter: number[] = [];
      again.onFrame = ({ type, request_id: id }) => {
        if (type !== "input") return;
        deniedAfter.push(harness.clock.now() - reconnectedAt);
        again.acknowledge({ accepted: true }, String(id));
      };
      if (asksAgain) again.ask("call-1");
      await harness.clock.advance(120_000);
      expect(deniedAfter).toEqual([delayMs]);
    },
  );

  const denyBash: Principal = { ...anyone, keyId: "key-2", approvalPolicy: policy({ deniedTools: ["Bash"] }) };
  const runtime = { agent_id: "agent-1", conversation_id: "default" };

  /** Sends a message, which the device starts or queues. */
  async function sendAs(
    harness: Harness,
    socket: FakeSocket,
    connectionId: string,
    { id, principal, disposition = "started" }: { id: string; principal: Principal; disposition?: string },
  ): Promise<void> {
    const sent = harness.send(connectionId, { messages: [userMessage(id)] }, { principal });
    await harness.settle();
    socket.acknowledge({ accepted: true, disposition });
    expect((await sent).status).toBe(200);
  }

  function reportLoop(socket: FakeSocket, status: string, runs: Record<string, string[]> = {}): void {
    const active_run_ids = Object.keys(runs).slice(-1);
    const loop_status = { status, active_run_ids, client_message_ids_by_run_id: runs };
    socket.say({ type: "update_loop_status", runtime, loop_status });
  }

  function reportQueue(socket: FakeSocket, ids: readonly string[], dequeued: readonly string[] = []): void {
    const queue = ids.map((id) => ({ client_message_id: id }));
    const removed = dequeued.map((id) => ({ client_message_id: id, disposition: "dequeued" }));
    socket.say({ type: "update_queue", runtime, queue, removed });
  }

  function endTurn(socket: FakeSocket): void {
    reportLoop(socket, "WAITING_ON_INPUT");
    socket.say({ type: "turn_finished", runtime, run_id: null, stop_reason: "end_turn" });
  }

  async function isDenied(harness: Harness, socket: FakeSocket, toolCallId: string): Promise<boolean> {
    const before = denials(socket).length;
    socket.ask(toolCallId);
    await harness.settle();
    const isSent = denials(socket).length > before;
    if (isSent) socket.acknowledge({ accepted: true });
    await harness.settle();
    return isSent;
  }

  test("the policy of the sender applies to the rest of its turn after a reconnect, even before the device says what runs, and not to later turns", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    await sendAs(harness, socket, connectionId, { id: "m-1", principal: denyBash });
    socket.listener.onClose(1006);
    await harness.clock.advance(5);
    const opening = harness.open(connectionId);
    const again = await opening;
    expect(await isDenied(harness, again, "call-1")).toBe(true);
    reportLoop(again, "PROCESSING_API_RESPONSE", { "run-1": ["m-1"] });
    expect(await isDenied(harness, again, "call-2")).toBe(true);
    endTurn(again);
    reportLoop(again, "PROCESSING_API_RESPONSE");
    expect(await isDenied(harness, again, "call-3")).toBe(false);
  });

  test("the policy of the sender applies to a message that waited in the queue of the device while it reconnected", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    await sendAs(harness, socket, connectionId, { id: "m-1", principal: anyone });
    await sendAs(harness, socket, connectionId, { id: "m-2", principal: denyBash, disposition: "queued" });
    reportQueue(socket, ["m-2"]);
    socket.listener.onClose(1006);
    const again = await harness.open(connectionId);
    await harness.settle();
    reportLoop(again, "PROCESSING_API_RESPONSE", { "run-1": ["m-1"] });
    reportQueue(again, ["m-2"]);
    endTurn(again);
    reportQueue(again, [], ["m-2"]);
    reportLoop(again, "PROCESSING_API_RESPONSE", { "run-1": ["m-1"], "run-2": ["m-2"] });
    expect(await isDenied(harness, again, "call-1")).toBe(true);
  });

  test.each([
    [denyBash, anyone],
    [anyone, denyBash],
  ])("the policies of all senders apply to a turn that includes their messages", async (first, second) => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    await sendAs(harness, socket, connectionId, { id: "m-1", principal: first });
    await sendAs(harness, socket, connectionId, { id: "m-2", principal: second, disposition: "queued" });
    reportQueue(socket, ["m-2"]);
    expect(await isDenied(harness, socket, "call-1")).toBe(first === denyBash);
    reportQueue(socket, [], ["m-2"]);
    expect(await isDenied(harness, socket, "call-2")).toBe(true);
  });
});
