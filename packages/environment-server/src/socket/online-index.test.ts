import { expect, test } from "vitest";
import { createOnlineIndex } from "./online-index.ts";

test("after() returns the ids of a tenant in ascending order, page by page", () => {
  const index = createOnlineIndex();
  for (const id of ["c", "a", "e", "b", "d", "c"]) index.add("acme", id);
  index.add("other", "x");
  expect(index.after("acme", null, 2)).toEqual(["a", "b"]);
  expect(index.after("acme", "b", 2)).toEqual(["c", "d"]);
  expect(index.after("acme", "bb", 9)).toEqual(["c", "d", "e"]);
  expect(index.after("acme", "e", 9)).toEqual([]);
  expect(index.after("nobody", null, 9)).toEqual([]);
});

test("a removed id is not returned, and removing an unknown one has no effect", () => {
  const index = createOnlineIndex();
  for (const id of ["a", "b", "c"]) index.add("acme", id);
  index.remove("acme", "b");
  index.remove("acme", "bb");
  index.remove("other", "a");
  expect(index.after("acme", null, 9)).toEqual(["a", "c"]);
});
