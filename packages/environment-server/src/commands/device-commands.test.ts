import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createDeviceCommands } from "./device-commands.ts";

test("a failure that a device reports for another conversation does not end a change", async () => {
  const commands = createDeviceCommands({ clock: createVirtualClock(), randomId: (prefix) => `${prefix}-1` });
  const target = { environmentId: "env-1", write: () => true };
  const runtime = { agentId: "agent-1", conversationId: "default" };
  const changed = commands.changeMode(target, runtime, "standard");
  const failure = { kind: "loop_error", stopReason: null, isTerminal: false, isOfTurn: false } as const;
  for (const [agentId, message] of [
    ["agent-2", "of another"],
    ["agent-1", "its own"],
  ] as const)
    commands.receive("env-1", { ...failure, runtime: { ...runtime, agentId }, message });
  expect(await changed).toEqual({ kind: "rejected", error: "its own" });
});
