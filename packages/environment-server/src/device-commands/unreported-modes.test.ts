import { expect, test } from "vitest";
import { maxUnreportedModes } from "../limits.ts";
import { createUnreportedModes } from "./unreported-modes.ts";

const conversation = { agentId: "agent-1", conversationId: "default" };

function written(...modes: readonly string[]) {
  const unreported = createUnreportedModes();
  for (const mode of modes) unreported.add("env-1", { conversation, mode, requestId: null });
  const left = (): readonly string[] => unreported.of("env-1", conversation);
  return { ...unreported, left };
}

test("a report ends the change that was written first, under either name of its mode", () => {
  const { reported, left } = written("unrestricted", "standard");
  reported("env-1", conversation, "bypassPermissions", true);
  expect(left()).toEqual(["standard"]);
  reported("env-1", conversation, "default", true);
  expect(left()).toEqual([]);
});

test("a report of the same mode as before ends no change that was written before the one to this mode", () => {
  const { reported, left } = written("unrestricted", "standard");
  reported("env-1", conversation, "standard", false);
  reported("env-1", conversation, null, true);
  expect(left()).toEqual(["unrestricted", "standard"]);
  // The device has handled both, and reports only the second one.
  reported("env-1", conversation, "standard", true);
  expect(left()).toEqual([]);
});

test("a refusal ends the change that was written first", () => {
  const { refused, left } = written("unrestricted", "standard");
  refused("env-1", conversation);
  expect(left()).toEqual(["standard"]);
});

test("only its own response ends a runtime_start, which has no place in the order of the changes", () => {
  const { add, reported, refused, answered, left } = written();
  add("env-1", { conversation, mode: "unrestricted", requestId: "view-1" });
  add("env-1", { conversation, mode: "standard", requestId: null });
  reported("env-1", conversation, "unrestricted", true);
  reported("env-1", conversation, "standard", true);
  refused("env-1", conversation);
  expect([left(), answered("env-1", "view-2")]).toEqual([["unrestricted"], null]);
  expect([answered("env-1", "view-1"), left()]).toEqual([conversation, []]);
});

test("memory is bounded: modes that no longer fit count for every conversation of the device until its socket ends", () => {
  const { add, reported, forget, of } = written("unrestricted");
  const another = { ...conversation, agentId: "agent-2" };
  for (let count = 0; count < maxUnreportedModes; count++)
    add("env-1", { conversation: another, mode: "standard", requestId: null });
  reported("env-1", conversation, "unrestricted", true);
  expect([of("env-1", conversation), of("env-2", conversation)]).toEqual([["unrestricted"], []]);
  expect(of("env-1", another)).toHaveLength(maxUnreportedModes + 1);
  forget("env-1");
  expect(of("env-1", another)).toEqual([]);
});
