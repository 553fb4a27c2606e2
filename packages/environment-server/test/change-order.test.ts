/** Several changes of one conversation at the same time: each gets the answer to itself, and waits no longer than its own time. */
import type { Principal } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { commandTimeoutMs, maxWaitingCommands } from "../src/limits.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { type Answer, anyone, createHarness, userMessage } from "./support/harness.ts";

const controller: Principal = { ...anyone, scopes: new Set([...anyone.scopes, "control"] as const) };

/** A device that handles one frame with each call of `handleNext`. It refuses `/missing` silently, as the real one does, or with an error. */
function script(socket: FakeSocket, refuses: "silently" | "with an error") {
  const read: Record<string, unknown>[] = [];
  const state = { mode: "unrestricted", directory: "/home", revision: 1 };
  const report = (runtime: unknown): void =>
    socket.say({
      type: "update_device_status",
      runtime,
      device_status: {
        current_permission_mode: state.mode,
        current_working_directory: state.directory,
        cwd_revision: state.revision,
      },
    });
  socket.onFrame = (frame) => void read.push(frame);
  const handleNext = (): boolean => {
    const frame = read.shift();
    if (frame === undefined) return false;
    const { type, runtime, payload } = frame as { type: string; runtime: unknown; payload: Record<string, string> };
    if (type === "input") queueMicrotask(() => socket.acknowledge());
    if (type !== "change_device_state") return true;
    const { mode = state.mode, cwd } = payload;
    if (cwd === "/missing" && refuses === "with an error") {
      const delta = { message_type: "loop_error", message: "no such directory", is_terminal: false };
      socket.say({ type: "stream_delta", runtime, delta });
      return true;
    }
    Object.assign(state, { mode, directory: cwd === undefined || cwd === "/missing" ? state.directory : cwd });
    if (cwd !== undefined) state.revision += 1;
    report(runtime);
    return true;
  };
  return { state, read, handleNext };
}

async function connected(refuses: Parameters<typeof script>[1] = "silently") {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const device = script(socket, refuses);
  return {
    ...harness,
    ...device,
    connectionId,
    socket,
    change: (path: "mode" | "directory", value: string, members: object = {}): Promise<Answer> =>
      harness.call("POST", `/v1/environments/${connectionId}/${path}`, {
        body: { agentId: "agent-1", [path]: value, ...members },
        principal: controller,
      }),
    async handleAll() {
      await harness.settle();
      while (device.handleNext()) await harness.settle();
    },
  };
}

const refused = { status: 409, body: { errorCode: "control_rejected" } };
const at = (directory: string) => ({ status: 200, body: { directory } });
const busy = { status: 429, body: { errorCode: "queue_full" } };

test.each([
  ["/missing", "/good", [refused, at("/good")], "/good"],
  ["/good", "/missing", [at("/good"), refused], "/good"],
  ["/a", "/b", [at("/a"), at("/b")], "/b"],
] as const)(
  "of two changes of the directory at once, to %s and %s, each gets its own result",
  async (first, second, results, last) => {
    const { state, change, handleAll } = await connected();
    const changes = [change("directory", first), change("directory", second)];
    await handleAll();
    expect(await Promise.all(changes)).toMatchObject(results);
    expect(state.directory).toBe(last);
  },
);

test("the failure of a change is not taken for that of another one, or of the mode that a key sets", async () => {
  const { state, settle, change, handleAll, send, connectionId } = await connected("with an error");
  const setting = { ...anyone, maxMode: "acceptEdits", setMode: "standard" } as const;
  const changes = [change("directory", "/missing"), change("mode", "acceptEdits")];
  await settle();
  const sent = send(connectionId, { messages: [userMessage()] }, { principal: setting });
  await handleAll();
  expect(await Promise.all(changes)).toMatchObject([refused, { status: 200, body: { mode: "acceptEdits" } }]);
  expect(await sent).toMatchObject({ status: 200 });
  expect(state.mode).toBe("standard");
});

test("changes of other conversations do not wait, and a named conversation is the same whatever agent is named", async () => {
  const { read, settle, change } = await connected();
  void change("mode", "standard", { conversationId: "conv-1" });
  void change("mode", "standard", { conversationId: "conv-2" });
  void change("mode", "acceptEdits", { conversationId: "conv-1", agentId: "agent-2" });
  await settle();
  expect(read.map((frame) => frame["runtime"])).toMatchObject([
    { conversation_id: "conv-1", agent_id: "agent-1" },
    { conversation_id: "conv-2" },
  ]);
});

test("changes behind one that the device does not answer are 429 when its time is over, and nothing of them was sent", async () => {
  const { read, clock, settle, change } = await connected();
  const hanging = change("mode", "unrestricted");
  await settle();
  await clock.advance(commandTimeoutMs / 2);
  const behind = [change("mode", "standard"), change("directory", "/good")];
  await clock.advance(commandTimeoutMs / 2);
  expect(await Promise.all([hanging, ...behind])).toMatchObject([{ status: 504 }, busy, busy]);
  expect(read).toHaveLength(1);
  void change("mode", "standard");
  await settle();
  expect(read).toHaveLength(2);
});

test("a change waits no longer than the time of its own request, however many are answered before it", async () => {
  const { read, clock, settle, change, handleNext } = await connected();
  const changes = ["standard", "acceptEdits", "unrestricted"].map((mode) => change("mode", mode));
  await settle();
  await clock.advance(commandTimeoutMs - 1);
  handleNext();
  await settle();
  expect(read).toMatchObject([{ payload: { mode: "acceptEdits" } }]);
  await clock.advance(1);
  expect(await Promise.all(changes)).toMatchObject([{ status: 200 }, { status: 504 }, busy]);
});

test("a change that waits when the device disconnects is not sent, also not to its next socket", async () => {
  const { socket, settle, change, open, connectionId } = await connected();
  const changes = [change("mode", "standard"), change("mode", "acceptEdits")];
  await settle();
  socket.listener.onClose(1006);
  const next = await open(connectionId);
  expect(await Promise.all(changes)).toMatchObject([
    { status: 504, body: { errorCode: "control_unknown" } },
    { status: 409 },
  ]);
  expect([socket.frames.length, next.frames.length]).toEqual([1, 0]);
});

test("changes that wait for an earlier one count among the commands that wait for the device", async () => {
  const { read, clock, settle, change } = await connected();
  const changes = Array.from({ length: maxWaitingCommands }, () => change("mode", "standard"));
  await settle();
  expect(await change("mode", "standard", { conversationId: "conv-2" })).toMatchObject(busy);
  expect(read).toHaveLength(1);
  await clock.advance(commandTimeoutMs);
  await Promise.all(changes);
});
