/** Denials of requests for permission that are not remembered, because there are too many: how long they are repeated. */
import { describe, expect, test } from "vitest";
import { maxUnacknowledgedSends, maxWaitingDenials } from "../src/limits.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { anyone, createHarness } from "./support/harness.ts";

describe("policies that deny a tool", () => {
  const principal = { ...anyone, approvalPolicy: { deniedTools: ["Bash"], deadlineMs: null } };

  /** A device with as many requests as are remembered. */
  async function connectFull() {
    const harness = createHarness();
    const connectionId = await harness.register("device-1");
    const socket = await harness.open(connectionId, principal);
    for (let call = 0; call < 100; call++) socket.ask(`call-${call}`, { tool_name: "Read" });
    await harness.settle();
    return { harness, connectionId, socket };
  }

  function denials(socket: FakeSocket): unknown[] {
    return socket.inputs().flatMap(({ payload }) => ("decision" in payload ? [payload.decision] : []));
  }

  test("a policy does not repeat a denial of a request that its conversation no longer has, or that ended with the socket", async () => {
    const { harness, connectionId, socket } = await connectFull();
    const endTurnOf = (agentId: string) =>
      socket.say({
        type: "update_loop_status",
        runtime: { agent_id: agentId, conversation_id: "default" },
        loop_status: { status: "WAITING_ON_INPUT", active_run_ids: [], client_message_ids_by_run_id: {} },
      });
    for (let call = 0; call < 66; call++) socket.ask(`beyond-${call}`, {}, "agent-2");
    socket.ask("other", {}, "agent-3");
    await harness.settle();
    expect(denials(socket)).toHaveLength(64);
    endTurnOf("agent-2");
    await harness.clock.advance(60_000);
    expect(denials(socket)).toHaveLength(65);
    expect(socket.inputs().at(-1)).toMatchObject({ runtime: { agent_id: "agent-3" } });
    for (let call = 0; call < 66; call++) socket.ask(`again-${call}`, {}, "agent-2");
    await harness.settle();
    const before = denials(socket).length;
    socket.listener.onClose(1006);
    const next = await harness.open(connectionId, principal);
    await harness.clock.advance(60_000);
    expect([denials(socket).length, denials(next)]).toEqual([before, []]);
  });

  test("a policy repeats a denial that fails less and less often, until it succeeds", async () => {
    const { harness, socket } = await connectFull();
    const { findConnection } = harness.store;
    harness.store.findConnection = () => Promise.reject(new Error("disk full"));
    socket.ask("beyond");
    const pass = async (minutes: number): Promise<void> => {
      for (let count = 0; count < 2 * minutes; count++) {
        socket.say({ type: "ping" });
        await harness.clock.advance(30_000);
      }
    };
    await pass(10);
    const failures = harness.events.filter(({ type }) => type === "request_failed");
    expect(failures.length).toBeGreaterThan(3);
    expect(failures.length).toBeLessThan(10);
    harness.store.findConnection = findConnection;
    await pass(5);
    expect(denials(socket)).toHaveLength(1);
  });

  test("a policy reports once that a device has more waiting denials than are repeated, and denies the rest when it asks again", async () => {
    const { harness, socket } = await connectFull();
    const count = maxUnacknowledgedSends + maxWaitingDenials + 2;
    for (let call = 0; call < count; call++) socket.ask(`beyond-${call}`);
    await harness.settle();
    const dropped = { type: "request_failed", operation: "denyByPolicy", cause: expect.any(Error) };
    expect(harness.events.filter(({ type }) => type === "request_failed")).toEqual([dropped]);
    socket.onFrame = ({ request_id: id }) => socket.acknowledge({ accepted: true }, String(id));
    await harness.clock.advance(30_000);
    expect(denials(socket)).toHaveLength(count - 2);
    for (let call = 0; call < count; call++) socket.ask(`beyond-${call}`);
    await harness.settle();
    expect(denials(socket).length).toBeGreaterThanOrEqual(count);
  });
});
