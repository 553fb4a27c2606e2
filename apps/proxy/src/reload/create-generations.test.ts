import { expect, test } from "vitest";
import { createGenerations } from "./create-generations.ts";

test("a call that has begun ends with the generation it began with, which is closed only then", async () => {
  const closed: string[] = [];
  const generation = (service: string) => ({ service, close: () => void closed.push(service) });
  const generations = createGenerations(generation("first"));
  let release: () => void = () => undefined;
  const held = generations.call(
    (service) => new Promise<string>((resolve) => (release = () => resolve(`served by ${service}`))),
  );
  generations.replace(generation("second"));
  expect(await generations.call((service) => Promise.resolve(service))).toBe("second");
  expect(closed).toEqual([]);
  release();
  expect(await held).toBe("served by first");
  expect(closed).toEqual(["first"]);
});

test("an idle generation is closed at once, and a call that fails counts as ended", async () => {
  const closed: string[] = [];
  const generation = (service: string) => ({ service, close: () => void closed.push(service) });
  const generations = createGenerations(generation("first"));
  await expect(generations.call(() => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
  generations.replace(generation("second"));
  expect(closed).toEqual(["first"]);
});
