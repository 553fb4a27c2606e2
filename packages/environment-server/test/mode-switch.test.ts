/** A key that sets a mode waits until the device reports it. Meanwhile the messages of other keys leave, and a silent device is not asked each time. */
import type { Principal } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { commandTimeoutMs, silencePauseMs } from "../src/limits.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { type Answer, anyone, createHarness, userMessage } from "./support/harness.ts";

const setting: Principal = { ...anyone, keyId: "setting", setMode: "standard" };

function report(socket: FakeSocket, agentId: string, mode = "standard"): void {
  const runtime = { agent_id: agentId, conversation_id: "default" };
  socket.say({ type: "update_device_status", runtime, device_status: { current_permission_mode: mode } });
}

async function setUp() {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  return {
    ...harness,
    socket,
    changes: () => socket.frames.filter(({ type }) => type === "change_device_state"),
    written: () => socket.inputs().map(({ runtime }) => runtime?.agent_id),
    send: (agentId: string, principal: Principal = anyone, id = `to ${agentId}`): Promise<Answer> =>
      harness.send(connectionId, { agentId, messages: [userMessage(id)] }, { principal }),
  };
}

test("messages of other keys leave while the device changes the mode for a key that sets one, also in the same conversation", async () => {
  const { socket, settle, send, changes, written } = await setUp();
  const sent = send("agent-1", setting);
  await settle();
  expect(changes()).toHaveLength(1);
  for (const agentId of ["agent-2", "agent-1"]) {
    const other = send(agentId, anyone, `of another key to ${agentId}`);
    await settle();
    socket.acknowledge();
    expect(await other).toMatchObject({ status: 200 });
  }
  const limited = send("agent-3", { ...anyone, keyId: "limited", maxMode: "standard" });
  await settle();
  report(socket, "agent-3");
  await settle();
  socket.acknowledge();
  expect(await limited).toMatchObject({ status: 200 });
  report(socket, "agent-1");
  await settle();
  socket.acknowledge();
  expect(await sent).toMatchObject({ status: 200 });
  expect(written()).toEqual(["agent-2", "agent-1", "agent-3", "agent-1"]);
});

test("a device that did not report the mode receives no other change for such keys for a while, unless the conversation has the mode", async () => {
  const { socket, clock, settle, events, send, changes } = await setUp();
  const sends = ["agent-1", "agent-2", "agent-3"].map((agentId) => send(agentId, setting));
  await clock.advance(commandTimeoutMs);
  const refused = { status: 409, headers: { "x-should-retry": "true" }, body: { errorCode: "mode_not_set" } };
  expect(await Promise.all(sends)).toMatchObject([
    refused,
    ...["agent-2", "agent-3"].map(() => ({ ...refused, headers: { "retry-after": "30" } })),
  ]);
  expect(changes()).toHaveLength(1);
  expect(events.filter(({ type }) => type === "mode_switched")).toMatchObject([{ outcome: "unknown" }]);
  report(socket, "agent-2");
  const known = send("agent-2", setting);
  await settle();
  socket.acknowledge();
  expect(await known).toMatchObject({ status: 200 });
  await clock.advance(silencePauseMs);
  const later = send("agent-3", setting);
  await settle();
  report(socket, "agent-3");
  await settle();
  socket.acknowledge();
  expect(await later).toMatchObject({ status: 200 });
});

test("a message is not sent if the conversation leaves the mode before its turn comes, and one that repeats it is written once", async () => {
  const { socket, settle, send, written } = await setUp();
  const left = send("agent-1", setting);
  await settle();
  report(socket, "agent-1");
  report(socket, "agent-1", "unrestricted");
  expect(await left).toMatchObject({ status: 409, body: { errorCode: "mode_not_set" } });
  const sends = [send("agent-1", setting), send("agent-1", setting)];
  await settle();
  report(socket, "agent-1");
  await settle();
  socket.acknowledge();
  expect((await Promise.all(sends)).map(({ status }) => status)).toEqual([200, 200]);
  expect(written()).toEqual(["agent-1"]);
});

test("a message says that the device is offline when it disconnects while it changes the mode", async () => {
  const { socket, settle, send } = await setUp();
  const sent = send("agent-1", setting);
  await settle();
  socket.listener.onClose(1006);
  expect(await sent).toMatchObject({ status: 409, body: { errorCode: "device_offline" } });
});
