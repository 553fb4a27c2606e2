import process from "node:process";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createDeviceCommands, decideDirectoryChange } from "./device-commands.ts";

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

test("the agent of a conversation is taken from the device's answer about it, in whatever order answers arrive", async () => {
  const commands = setUp();
  const ids = ["conv-1", "conv-2"];
  const asked = ids.map((conversationId) => commands.askAgent(target, { ...runtime, conversationId }));
  const answer = { kind: "command_response", command: "retrieve_conversation", success: true, error: null } as const;
  for (const number of [2, 1])
    commands.receive("env-1", { ...answer, requestId: `command-${number}`, agentId: `agent-${number}` });
  expect(await Promise.all(asked)).toMatchObject([{ effect: "agent-1" }, { effect: "agent-2" }]);
  expect(ids.map((id) => commands.agentOf("env-1", id))).toEqual(["agent-1", "agent-2"]);
});

const at = (directory: string | null, revision: number | null = 0) => ({ directory, revision });

test("a report of the requested directory confirms the change, with or without a trailing slash", () => {
  expect(decideDirectoryChange("/code/app/", null, at("/code/app"))).toEqual({
    kind: "changed",
    directory: "/code/app",
  });
  expect(decideDirectoryChange("/", at("/code"), at("/"))).toEqual({ kind: "changed", directory: "/" });
  expect(decideDirectoryChange("C:\\code\\", at("C:\\"), at("C:\\code"))).toMatchObject({ kind: "changed" });
});

test("a different directory than before confirms the change, because devices resolve symbolic links", () => {
  const decision = decideDirectoryChange("/link", at("/home"), at("/real", 1));
  expect(decision).toEqual({ kind: "changed", directory: "/real" });
});

test("the old directory under a new revision is a refusal, and under the same revision it is ignored", () => {
  expect(decideDirectoryChange("/missing", at("/home", 3), at("/home", 4))).toEqual({ kind: "refused" });
  expect(decideDirectoryChange("/missing", at("/home", 3), at("/home", 3))).toBeNull();
});

test("the first report and a report without a directory are ignored", () => {
  expect(decideDirectoryChange("/code", null, at("/home"))).toBeNull();
  expect(decideDirectoryChange("/code", at("/home"), at(null, 1))).toBeNull();
  expect(decideDirectoryChange("/code", at("/home", null), at("/home", null))).toBeNull();
});

test("directories are compared in time proportional to their lengths", () => {
  const hostile = `/a${"/".repeat(50_000)}x`;
  const before = process.cpuUsage();
  expect(decideDirectoryChange("/code", null, at(hostile))).toBeNull();
  expect(process.cpuUsage(before).user).toBeLessThan(500_000);
});
