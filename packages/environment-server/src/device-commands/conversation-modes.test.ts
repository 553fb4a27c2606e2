import { expect, test } from "vitest";
import { maxKnownModes } from "../limits.ts";
import { createConversationModes } from "./conversation-modes.ts";

const runtime = (conversationId: string) => ({ agentId: "agent-1", conversationId });

test("each conversation of each device has its own mode, until its socket ends", () => {
  const modes = createConversationModes();
  modes.report("env-1", runtime("a"), "standard");
  modes.report("env-1", runtime("b"), "unrestricted");
  modes.report("env-2", runtime("a"), null);
  expect([modes.modeOf("env-1", runtime("a")), modes.modeOf("env-1", runtime("b"))]).toEqual([
    "standard",
    "unrestricted",
  ]);
  expect([modes.modeOf("env-2", runtime("a")), modes.modeOf("env-1", runtime("c"))]).toEqual([null, undefined]);
  expect(modes.modesOf("env-1")).toEqual(new Set(["standard", "unrestricted"]));
  modes.forget("env-1");
  expect(modes.modesOf("env-1").size).toBe(0);
});

test("a named conversation has one mode whichever agent a report names, and each agent has its own default conversation", () => {
  const modes = createConversationModes();
  modes.report("env-1", { agentId: "agent-1", conversationId: "a" }, "standard");
  modes.report("env-1", { agentId: "", conversationId: "a" }, "unrestricted");
  expect(modes.modeOf("env-1", { agentId: "agent-1", conversationId: "a" })).toBe("unrestricted");
  expect(modes.modesOf("env-1")).toEqual(new Set(["unrestricted"]));
  modes.report("env-1", { agentId: "agent-1", conversationId: "default" }, "standard");
  modes.report("env-1", { agentId: "agent-2", conversationId: "default" }, "acceptEdits");
  expect(modes.modeOf("env-1", { agentId: "agent-1", conversationId: "default" })).toBe("standard");
  expect(modes.modeOf("env-1", { agentId: "", conversationId: "default" })).toBeUndefined();
});

test("when there are too many conversations, the one that reported longest ago is forgotten", () => {
  const modes = createConversationModes();
  for (let index = 0; index < maxKnownModes; index++) modes.report("env-1", runtime(`conv-${index}`), "standard");
  modes.report("env-1", runtime("conv-0"), "unrestricted");
  modes.report("env-1", runtime("one more"), "standard");
  const known = ["conv-0", "conv-1"].map((id) => modes.modeOf("env-1", runtime(id)));
  expect(known).toEqual(["unrestricted", undefined]);
});

test("memory is bounded, and the mode of a conversation that no longer fits still counts for the device", () => {
  const modes = createConversationModes();
  modes.report("env-1", runtime("first"), "unrestricted");
  for (let number = 0; number < maxKnownModes; number++) modes.report("env-1", runtime(`c-${number}`), "standard");
  expect(modes.modeOf("env-1", runtime("first"))).toBeUndefined();
  expect(modes.modesOf("env-1")).toEqual(new Set(["standard", "unrestricted"]));
  modes.report("env-1", runtime("x".repeat(300)), "acceptEdits");
  expect(modes.modesOf("env-1")).toContain("acceptEdits");
});
