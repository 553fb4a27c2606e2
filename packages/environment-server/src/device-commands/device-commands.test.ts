import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createDeviceCommands } from "./device-commands.ts";

const runtime = { agentId: "agent-1", conversationId: "default" };
const target = { environmentId: "env-1", write: () => true };
const failure = { kind: "loop_error", stopReason: null, isTerminal: false, isOfTurn: false } as const;

function setUp() {
  let count = 0;
  return createDeviceCommands({ clock: createVirtualClock(), randomId: (prefix) => `${prefix}-${(count += 1)}` });
}

test("a failure that a device reports for another conversation does not end a change", async () => {
  const commands = setUp();
  const changed = commands.changeMode(target, runtime, "standard");
  commands.receive("env-1", { ...failure, runtime: { ...runtime, agentId: "agent-2" }, message: "of another" });
  commands.receive("env-1", { ...failure, runtime, message: "its own" });
  expect(await changed).toEqual({ kind: "rejected", error: "its own" });
});

test("a failure to change the state of a conversation does not end a stop, which has its own response", async () => {
  const commands = setUp();
  const stopped = commands.run(target, runtime, { kind: "stop", runId: null });
  commands.receive("env-1", { ...failure, runtime, message: "of a change" });
  const response = { kind: "command_response", command: "stop", requestId: "command-1", error: null } as const;
  commands.receive("env-1", { ...response, success: true, effect: true });
  expect(await stopped).toEqual({ kind: "done", effect: true });
});

test("the agent of a conversation is the one in the answer about it, in whatever order a device answers", async () => {
  const commands = setUp();
  const ids = ["conv-1", "conv-2"];
  const asked = ids.map((conversationId) => commands.askAgent(target, { ...runtime, conversationId }));
  const answer = { kind: "command_response", command: "retrieve_conversation", success: true, error: null } as const;
  for (const number of [2, 1])
    commands.receive("env-1", { ...answer, requestId: `command-${number}`, agentId: `agent-${number}` });
  expect(await Promise.all(asked)).toMatchObject([{ effect: "agent-1" }, { effect: "agent-2" }]);
  expect(ids.map((id) => commands.agentOf("env-1", id))).toEqual(["agent-1", "agent-2"]);
});
