import { createMovableClock } from "../../../test/support/create-movable-clock.ts";
import { expect, test } from "vitest";
import { createDurableKeyGeneration, lookAfterMs, trustMs } from "./durable-key-generation.ts";

function setUp() {
  const clock = createMovableClock();
  let looks = 0;
  const generation = createDurableKeyGeneration(clock, () => void (looks += 1));
  return { clock, generation, looks: () => looks };
}

test("nothing is trusted before the first answer, and what was read with it is", () => {
  const { clock, generation } = setUp();
  const before = generation.current();
  expect(generation.current()).not.toBe(before);
  const asked = generation.current();
  generation.heard(3, clock.now());
  expect([generation.current(), generation.current()]).toEqual([asked, asked]);
});

test("a change that an answer tells is another generation, and the same count is none", () => {
  const { clock, generation } = setUp();
  generation.heard(3, clock.now());
  const first = generation.current();
  generation.heard(3, clock.now());
  expect(generation.current()).toBe(first);
  generation.heard(4, clock.now());
  expect(generation.current()).not.toBe(first);
});

test("one request in a while asks beside itself, and without an answer nothing is trusted after four seconds", () => {
  const { clock, generation, looks } = setUp();
  generation.heard(3, clock.now());
  const trusted = generation.current();
  expect(looks()).toBe(0);
  clock.move(lookAfterMs);
  expect([generation.current(), generation.current(), looks()]).toEqual([trusted, trusted, 1]);
  clock.move(lookAfterMs);
  expect([generation.current(), looks()]).toEqual([trusted, 2]);
  clock.move(trustMs - 2 * lookAfterMs - 1);
  expect(generation.current()).toBe(trusted);
  clock.move(1);
  const late = generation.current();
  expect([late === trusted, generation.current() === late]).toEqual([false, false]);
});

test("a clock that is set back stretches no bound", () => {
  const { clock, generation } = setUp();
  generation.heard(3, clock.now());
  const trusted = generation.current();
  clock.move(-86_400_000);
  expect(generation.current()).toBe(trusted);
  clock.move(trustMs);
  expect(generation.current()).not.toBe(trusted);
});

test("a change of one's own is another generation at once, and one of which nothing is known ends all trust", () => {
  const { clock, generation } = setUp();
  generation.heard(3, clock.now());
  const first = generation.current();
  generation.changed(4, clock.now());
  const second = generation.current();
  expect([second === first, generation.current() === second]).toEqual([false, true]);
  generation.changed(null, clock.now());
  expect(generation.current()).not.toBe(generation.current());
});
