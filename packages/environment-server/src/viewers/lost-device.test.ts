import { expect, test } from "vitest";
import { createViewerWorld, operator } from "../../test/support/viewer-world.ts";

test("unanswered requests and terminals end once with the device's socket", async () => {
  const world = createViewerWorld();
  const viewer = world.open();
  viewer.say({ type: "read_file", request_id: "r", path: "/a" });
  viewer.say({ type: "terminal_spawn", terminal_id: "t", cols: 80, rows: 24 });
  await world.settle();
  const [{ request_id: id } = {}] = world.device;
  world.hub.disconnected("env-1");
  expect(viewer.frames).toMatchObject([
    { type: "error", request_id: "r", frame_type: "read_file", code: "control_unknown" },
    { type: "read_file_response", request_id: "r", success: false },
    { type: "terminal_exited", terminal_id: "t", exitCode: 1, error: expect.any(String) },
  ]);
  world.hub.connected("env-1", "conn-1");
  world.hub.disconnected("env-1");
  world.say({ type: "read_file_response", request_id: id, content: "late" });
  expect(viewer.frames).toHaveLength(3);
  viewer.listener.onClose(1005);
  await world.settle();
  expect(world.device.filter(({ type }) => type === "terminal_kill")).toEqual([]);
});

test("the refusal of monitor_stop names its conversation and its process, by which the vendor's client recognises it", async () => {
  const world = createViewerWorld();
  const conversation = { agent_id: "agent-1", conversation_id: "default" };
  const stop = { type: "monitor_stop", request_id: "r", process_id: "bash-1", runtime: conversation };
  const failure = {
    type: "monitor_stop_response",
    ...{ request_id: "r", process_id: "bash-1", runtime: conversation, success: false, stopped: false },
  };
  const viewer = world.open();
  viewer.say(stop);
  await world.settle();
  world.hub.disconnected("env-1");
  const withoutScope = world.open({ principal: { ...operator, scopes: new Set(["view"] as const) } });
  withoutScope.say(stop);
  expect([viewer.frames.at(-1), withoutScope.frames.at(-1)]).toMatchObject([failure, failure]);
});

test("a request or terminal whose frame could not be written gets one error frame, and leaves nothing behind", async () => {
  const world = createViewerWorld();
  let failure = (): "unsent" => "unsent";
  const viewer = world.open({
    findDevice: () =>
      Promise.resolve({ kind: "open", refuseConversation: () => Promise.resolve(null), write: () => failure() }),
  });
  const send = (): void => {
    viewer.say({ type: "read_file", request_id: "r", path: "/a" });
    viewer.say({ type: "terminal_spawn", terminal_id: "t", cols: 80, rows: 24 });
  };
  send();
  await world.settle();
  world.hub.disconnected("env-1");
  const offline = [
    { type: "error", frame_type: "read_file", code: "device_offline" },
    { type: "read_file_response", success: false },
    { type: "error", frame_type: "terminal_spawn", code: "device_offline" },
  ];
  expect(viewer.frames).toMatchObject(offline);
  // The socket of the device fails while the frame is written.
  failure = () => {
    world.hub.disconnected("env-1");
    return "unsent";
  };
  send();
  await world.settle();
  expect(viewer.frames.slice(offline.length)).toMatchObject([
    { type: "error", frame_type: "read_file", code: "control_unknown" },
    { type: "read_file_response", success: false },
    { type: "terminal_exited", terminal_id: "t" },
  ]);
});
