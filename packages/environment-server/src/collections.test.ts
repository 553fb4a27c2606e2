import { expect, test } from "vitest";
import { createSharedMembers } from "./collections.ts";

/** Members of owners, with a function that returns those that are left of some. */
function createWorld(max: number) {
  const members = createSharedMembers<string>(max, (member) => member);
  const add = (owner: string, ...added: readonly string[]): void => {
    for (const member of added) members.add(owner, member);
  };
  const left = (owner: string, ...some: readonly string[]) => some.filter((member) => members.find(owner, member));
  return { members, add, left };
}

test("when there are too many members, the owner with the most loses its oldest", () => {
  const { add, left } = createWorld(4);
  add("other", "o");
  add("acme", "a", "b", "c", "d");
  expect([left("other", "o"), left("acme", "a", "b", "c", "d")]).toEqual([["o"], ["b", "c", "d"]]);
  add("other", "p", "q");
  expect([left("other", "o", "p", "q"), left("acme", "b", "c", "d")]).toEqual([
    ["p", "q"],
    ["c", "d"],
  ]);
});

test("members that were removed or dropped leave room for others", () => {
  const { members, add, left } = createWorld(2);
  add("acme", "a", "b", "c");
  expect([members.delete("acme", "b"), members.delete("acme", "b"), members.delete("other", "c")]).toEqual([
    true,
    false,
    false,
  ]);
  add("acme", "d");
  expect(left("acme", "a", "b", "c", "d")).toEqual(["c", "d"]);
});

test("a member that is added again counts once, and becomes the newest of its owner", () => {
  const { add, left } = createWorld(3);
  add("acme", "a", "b", "a");
  add("other", "o");
  expect([left("acme", "a", "b"), left("other", "o")]).toEqual([["a", "b"], ["o"]]);
  add("acme", "c");
  expect(left("acme", "a", "b", "c")).toEqual(["a", "c"]);
});
