/** The mode of the conversation in which a message would run: which report counts, and what happens without one. */
import type { Principal } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { commandTimeoutMs, silencePauseMs } from "../src/limits.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { type Answer, anyone, createHarness } from "./support/harness.ts";

const runtime = { agent_id: "agent-1", conversation_id: "default" };

function reportMode(socket: FakeSocket, mode: string, scope: object = runtime): void {
  socket.say({ type: "update_device_status", runtime: scope, device_status: { current_permission_mode: mode } });
}

test("the mode of a named conversation applies whichever agent was named with it, for a maximum mode and for a set mode", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const named = { ...runtime, conversation_id: "conv-1" };
  reportMode(socket, "standard", named);
  // A device knows a named conversation by its id alone.
  for (const other of ["agent-2", null]) {
    reportMode(socket, "unrestricted", { ...named, agent_id: other });
    const messages = [{ client_message_id: `m-${other}`, role: "user" as const, content: "hello" }];
    const body = { conversationId: "conv-1", messages };
    const refused = await harness.send(connectionId, body, { principal: { ...anyone, maxMode: "standard" } });
    expect(refused).toMatchObject({ status: 403, body: { errorCode: "mode_not_allowed" } });
    const sent = harness.send(connectionId, body, { principal: { ...anyone, setMode: "standard" } });
    await harness.settle();
    expect(socket.frames.at(-1)).toEqual({
      type: "change_device_state",
      runtime: named,
      payload: { mode: "standard" },
    });
    reportMode(socket, "standard", named);
    await harness.settle();
    socket.acknowledge();
    expect(await sent).toMatchObject({ status: 200 });
  }
});

describe("modes that a conversation has not reported", () => {
  const limited: Principal = { ...anyone, maxMode: "standard" };
  const text = (id: string) => [{ client_message_id: id, role: "user" as const, content: "hello" }];
  const syncs = ({ frames }: FakeSocket) => frames.filter(({ type }) => type === "sync");

  async function connected() {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    // The only mode on this socket is allowed. It is that of another conversation.
    reportMode(socket, "standard", { ...runtime, conversation_id: "conv-2" });
    const begin = async (conversationId: string, messageId = conversationId): Promise<Promise<Answer>[]> => {
      const sent = harness.send(connectionId, { conversationId, messages: text(messageId) }, { principal: limited });
      await harness.settle();
      return [sent];
    };
    return { ...harness, connectionId, socket, begin };
  }

  test("the device is asked for a mode that was not reported, which decides whether a key with a maximum mode may send", async () => {
    const { socket, settle, begin } = await connected();
    const [tooFree] = await begin("default");
    expect(socket.frames).toMatchObject([
      { type: "sync", runtime, force_device_status: true, recover_approvals: false },
    ]);
    reportMode(socket, "unrestricted");
    const final = { "x-should-retry": "false" };
    expect(await tooFree).toMatchObject({ status: 403, headers: final, body: { errorCode: "mode_not_allowed" } });
    const [allowed] = await begin("conv-3");
    reportMode(socket, "standard", { ...runtime, conversation_id: "conv-3" });
    await settle();
    expect(socket.inputs()).toMatchObject([{ runtime: { conversation_id: "conv-3" } }]);
    socket.acknowledge();
    expect(await allowed).toMatchObject({ status: 200 });
    const [known] = await begin("conv-3", "m-2");
    socket.acknowledge();
    expect(await known).toMatchObject({ status: 200 });
    expect(syncs(socket)).toHaveLength(2);
  });

  test("a mode stays unknown when the device does not answer: the message is refused, and the device is not asked again for a while", async () => {
    const { socket, clock, begin } = await connected();
    const [sent] = await begin("default");
    await clock.advance(commandTimeoutMs);
    const refused = {
      status: 403,
      body: { errorCode: "mode_not_allowed", detail: expect.stringContaining("did not report") },
    };
    const repeat = { "x-should-retry": "true" };
    expect(await sent).toMatchObject({ ...refused, headers: { ...repeat, "retry-after": "30" } });
    await clock.advance(20_000);
    const [again] = await begin("conv-3");
    expect(await again).toMatchObject({ ...refused, headers: { ...repeat, "retry-after": "10" } });
    expect(syncs(socket)).toHaveLength(1);
    await clock.advance(silencePauseMs);
    const [later] = await begin("conv-3");
    reportMode(socket, "unrestricted", { ...runtime, conversation_id: "conv-3" });
    expect(await later).toMatchObject({ status: 403 });
    expect(syncs(socket)).toHaveLength(2);
    expect(socket.inputs()).toEqual([]);
  });

  test("a message says that the device is offline, not that its mode is unknown, when the device disconnects while it is asked", async () => {
    const { socket, begin } = await connected();
    const [sent] = await begin("default");
    socket.listener.onClose(1006);
    expect(await sent).toMatchObject({ status: 409, body: { errorCode: "device_offline" } });
  });

  test("a device is not asked for the mode by a key without a maximum mode, or by one that sets the mode", async () => {
    const { socket, send, connectionId, settle } = await connected();
    const free = send(connectionId);
    await settle();
    socket.acknowledge();
    expect(await free).toMatchObject({ status: 200 });
    const body = { conversationId: "conv-4" };
    const setting = send(connectionId, body, { principal: { ...limited, setMode: "standard" } });
    await settle();
    reportMode(socket, "standard", { ...runtime, conversation_id: "conv-4" });
    await settle();
    socket.acknowledge();
    expect(await setting).toMatchObject({ status: 200 });
    expect(syncs(socket)).toEqual([]);
  });
});
