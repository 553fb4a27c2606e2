import { expect, test } from "vitest";
import { closeInOrder, openInOrder } from "./open-in-order.ts";

test("a resource that fails to close does not keep the others open, and the first failure is passed on", async () => {
  const closed: string[] = [];
  const closing = closeInOrder([
    () => Promise.reject(new Error("the first")),
    () => {
      throw new Error("the second");
    },
    () => void closed.push("the third"),
  ]);
  await expect(closing).rejects.toThrow("the first");
  expect(closed).toEqual(["the third"]);
});

test("when a resource cannot be opened, the earlier ones are closed in reverse order, and its error is passed on", async () => {
  const closed: string[] = [];
  const opening = openInOrder(async (defer) => {
    defer("the lock", (name) => closed.push(name));
    defer("the keys", () => Promise.reject(new Error("cannot be closed")));
    defer("the audit log", (name) => closed.push(name));
    throw new Error("cannot be opened");
  });
  await expect(opening).rejects.toThrow("cannot be opened");
  expect(closed).toEqual(["the audit log", "the lock"]);
});
