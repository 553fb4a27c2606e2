import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createAbsence } from "./absence.ts";

function start() {
  const clock = createVirtualClock();
  const said: string[] = [];
  const absence = createAbsence(
    { setTimer: (delayMs, run) => clock.setTimer(delayMs, run) },
    async (text) => void said.push(text),
  );
  let over: string | null = null;
  void absence.over.then(({ absent }) => (over = absent));
  return { clock, said, absence, over: () => over };
}

test("a party that has been away for a minute ends the wait, and is said once", async () => {
  const { clock, said, absence, over } = start();
  await absence.begin("server", "the server sends no events: overloaded");
  await clock.advance(30_000);
  await absence.begin("server", "the server sends no events: shutting_down");
  await clock.advance(29_999);
  expect(over()).toBeNull();
  await clock.advance(1);
  expect(over()).toBe("the server sends no events: overloaded");
  expect(said).toEqual(["the server sends no events: overloaded"]);
});

test("a party that comes back starts a new minute, and the other one's goes on", async () => {
  const { clock, absence, over } = start();
  await absence.begin("server", "no events");
  await clock.advance(50_000);
  await absence.begin("device", "laptop is away");
  absence.end("server");
  await absence.begin("server", "no events again");
  await clock.advance(59_999);
  expect(over()).toBeNull();
  await clock.advance(1);
  expect(over()).toBe("laptop is away");
  absence.cancel();
  expect(clock.timerCount).toBe(0);
});
