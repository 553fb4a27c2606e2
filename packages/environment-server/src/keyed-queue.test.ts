import { expect, test } from "vitest";
import { createKeyedQueue } from "./keyed-queue.ts";

test("tasks with one key run one after the other, tasks with different keys overlap", async () => {
  const queue = createKeyedQueue();
  const seen: string[] = [];
  const task = (name: string) => async () => {
    seen.push(`${name} starts`);
    await Promise.resolve();
    await Promise.resolve();
    seen.push(`${name} ends`);
    return name;
  };
  const results = await Promise.all([
    queue.run("a", task("a1")),
    queue.run("a", task("a2")),
    queue.run("b", task("b1")),
  ]);
  expect(results).toEqual(["a1", "a2", "b1"]);
  expect(seen.filter((event) => event.startsWith("a"))).toEqual(["a1 starts", "a1 ends", "a2 starts", "a2 ends"]);
  expect(seen.indexOf("b1 starts")).toBeLessThan(seen.indexOf("a1 ends"));
});

test("a task that fails rejects its own promise and lets the next one run", async () => {
  const queue = createKeyedQueue();
  const failed = queue.run("a", () => Promise.reject(new Error("broken")));
  const next = queue.run("a", () => Promise.resolve("ran"));
  await expect(failed).rejects.toThrow("broken");
  await expect(next).resolves.toBe("ran");
});
