import { expect, test } from "vitest";
import { buildCommandFrame, buildStateFrame, parseCommandResponse, toDeviceMode } from "./command-frames.ts";

const runtime = { agentId: "agent-1", conversationId: "default" };
const wireRuntime = { agent_id: "agent-1", conversation_id: "default" };

test("commands have the members that a device requires", () => {
  const parsed = (text: string): unknown => JSON.parse(text);
  expect(parsed(buildCommandFrame("r", runtime, { kind: "stop", runId: null }))).toEqual({
    type: "abort_message",
    request_id: "r",
    runtime: wireRuntime,
  });
  expect(parsed(buildCommandFrame("r", runtime, { kind: "stop", runId: "run-1" }))).toMatchObject({ run_id: "run-1" });
  expect(parsed(buildCommandFrame("r", { ...runtime, agentId: "" }, { kind: "resume_queue" }))).toEqual({
    type: "resume_queue",
    request_id: "r",
    runtime: { agent_id: null, conversation_id: "default" },
  });
  expect(parsed(buildCommandFrame("r", runtime, { kind: "remove_queue_item", itemId: "q-1" }))).toMatchObject({
    type: "remove_queue_item",
    item_id: "q-1",
  });
  expect(parsed(buildStateFrame(runtime, { mode: "standard" }))).toEqual({
    type: "change_device_state",
    runtime: wireRuntime,
    payload: { mode: "standard" },
  });
});

test("responses of devices 0.30.28 and 0.32.18 are read, and incomplete ones are not", () => {
  const stopped = {
    type: "abort_message_response",
    request_id: "r",
    runtime: wireRuntime,
    aborted: true,
    success: true,
  };
  expect(parseCommandResponse(stopped)).toMatchObject({ command: "stop", success: true, effect: true });
  expect(parseCommandResponse({ ...stopped, success: false, aborted: false, error: "a\u0007b" })).toMatchObject({
    success: false,
    error: "a b",
  });
  const resumed = { type: "resume_queue_response", request_id: "r", resumed: 2, success: true };
  expect(parseCommandResponse(resumed)).toMatchObject({ command: "resume_queue", effect: 2 });
  const removed = { type: "remove_queue_item_response", request_id: "r", success: false, item_id: "q-1" };
  expect(parseCommandResponse(removed)).toMatchObject({ command: "remove_queue_item", success: true, effect: false });
  for (const broken of [
    { ...stopped, request_id: 1 },
    { ...stopped, success: "yes" },
    { ...stopped, aborted: undefined },
    { ...resumed, resumed: -1 },
    { type: "other_response", request_id: "r", success: true },
  ]) {
    expect(parseCommandResponse(broken)).toBeNull();
  }
});

test("modes have the names that the device knows", () => {
  expect(["default", "standard", "bypassPermissions", "acceptEdits"].map((mode) => toDeviceMode(mode, false))).toEqual([
    "standard",
    "standard",
    "unrestricted",
    "acceptEdits",
  ]);
  expect(["default", "standard", "unrestricted"].map((mode) => toDeviceMode(mode, true))).toEqual([
    "default",
    "default",
    "bypassPermissions",
  ]);
});
