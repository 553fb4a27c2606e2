import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createAbsenceTimer } from "./absence-timer.ts";

function start() {
  const clock = createVirtualClock();
  const said: string[] = [];
  const timer = createAbsenceTimer(
    { setTimer: (delayMs, run) => clock.setTimer(delayMs, run) },
    async (text) => void said.push(text),
  );
  let ended: string | null = null;
  timer.onExpired((reason) => (ended ??= reason));
  return { clock, said, timer, reason: () => ended };
}

test("a minute of absence of either side ends the wait, and is reported once", async () => {
  const { clock, said, timer, reason } = start();
  await timer.markAbsent("server", "the server sends no events: overloaded");
  await clock.advance(30_000);
  await timer.markAbsent("server", "the server sends no events: shutting_down");
  await clock.advance(29_999);
  expect(reason()).toBeNull();
  await clock.advance(1);
  expect(reason()).toBe("the server sends no events: overloaded");
  expect(said).toEqual(["the server sends no events: overloaded"]);
});

test("a side that returns gets a new minute, and the other side's minute continues", async () => {
  const { clock, timer, reason } = start();
  await timer.markAbsent("server", "no events");
  await clock.advance(50_000);
  await timer.markAbsent("device", "laptop is away");
  timer.markPresent("server");
  await timer.markAbsent("server", "no events again");
  await clock.advance(59_999);
  expect(reason()).toBeNull();
  await clock.advance(1);
  expect(reason()).toBe("laptop is away");
  timer.cancel();
  expect(clock.timerCount).toBe(0);
});

test("an earlier absence that was too long does not end a wait that begins afterwards", async () => {
  const { clock, timer } = start();
  await timer.markAbsent("server", "no events");
  await clock.advance(90_000);
  timer.markPresent("server");
  let reason: string | null = null;
  timer.onExpired((missing) => (reason = missing));
  await clock.advance(90_000);
  expect(reason).toBeNull();
  await timer.markAbsent("server", "no events again");
  await clock.advance(60_000);
  expect(reason).toBe("no events again");
});

test("a wait that begins while a party is away for too long ends at once", async () => {
  const { clock, timer } = start();
  await timer.markAbsent("server", "no events");
  await clock.advance(60_000);
  const reasons: string[] = [];
  timer.onExpired((reason) => void reasons.push(reason));
  expect(reasons).toEqual(["no events"]);
});
