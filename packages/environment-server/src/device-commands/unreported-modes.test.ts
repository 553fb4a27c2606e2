import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { maxStartMs, maxUnreportedModes } from "../limits.ts";
import { createUnreportedModes } from "./unreported-modes.ts";

const conversation = { agentId: "agent-1", conversationId: "default" };
const another = { ...conversation, agentId: "agent-2" };

function written(...modes: readonly string[]) {
  const clock = createVirtualClock();
  const forgotten: string[] = [];
  const unreported = createUnreportedModes(clock, {
    forgetMode: (_row, { agentId }) => void forgotten.push(agentId),
  });
  const add = (mode: string, requestId: string | null = null, to = conversation): boolean =>
    unreported.add("env-1", { conversation: to, mode, requestId });
  for (const mode of modes) add(mode);
  const left = (): readonly string[] => unreported.of("env-1", conversation);
  return { ...unreported, clock, forgotten, add, left };
}

test("a report ends the change that was written first, under either name of its mode, and no other", () => {
  const { reported, left } = written("unrestricted", "standard");
  reported("env-1", conversation, "standard");
  reported("env-1", conversation, null);
  reported("env-1", another, "unrestricted");
  expect(left()).toEqual(["unrestricted", "standard"]);
  reported("env-1", conversation, "bypassPermissions");
  expect(left()).toEqual(["standard"]);
  reported("env-1", conversation, "default");
  expect(left()).toEqual([]);
});

test("a response of the device ends what was written before its question, and makes the modes unknown", () => {
  const { add, prepareSettling, forgotten, left } = written("unrestricted", "standard");
  const settle = prepareSettling("env-1");
  add("acceptEdits");
  settle();
  expect([left(), forgotten]).toEqual([["acceptEdits"], ["agent-1", "agent-1"]]);
});

test("a runtime_start ends with the first question after its response, or after a minute without one", async () => {
  const { add, reported, prepareSettling, answered, clock, left } = written();
  add("unrestricted", "view-1");
  add("standard");
  const early = prepareSettling("env-1");
  // Either mode may be the last one, and both may cause these reports.
  reported("env-1", conversation, "unrestricted");
  reported("env-1", conversation, "standard");
  answered("env-1", "view-2");
  answered("env-1", "view-1");
  early();
  expect(left()).toEqual(["unrestricted"]);
  prepareSettling("env-1")();
  expect(left()).toEqual([]);
  add("unrestricted", "view-3");
  prepareSettling("env-1")();
  expect(left()).toEqual(["unrestricted"]);
  await clock.advance(maxStartMs);
  prepareSettling("env-1")();
  expect(left()).toEqual([]);
});

test("memory is bounded: when it is full, an answered runtime_start makes room, and nothing else does", () => {
  const { add, answered, sizeOf, forget, of, forgotten } = written();
  for (let count = 0; count < maxUnreportedModes; count++) expect(add("standard", `view-${count}`)).toBe(true);
  expect([add("unrestricted"), sizeOf("env-1"), of("env-2", conversation)]).toEqual([false, maxUnreportedModes, []]);
  answered("env-1", "view-3");
  expect([add("unrestricted"), add("unrestricted"), forgotten]).toEqual([true, false, ["agent-1", "agent-1"]]);
  forget("env-1");
  expect(sizeOf("env-1")).toBe(0);
});
