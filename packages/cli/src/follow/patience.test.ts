import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createPatience } from "./patience.ts";

function start() {
  const clock = createVirtualClock();
  const said: string[] = [];
  const patience = createPatience(
    { setTimer: (delayMs, run) => clock.setTimer(delayMs, run) },
    async (text) => void said.push(text),
  );
  let ranOut: string | null = null;
  void patience.ranOut.then(({ absent }) => (ranOut = absent));
  return { clock, said, patience, ranOut: () => ranOut };
}

test("a party that has been away for a minute ends the wait, and is said once", async () => {
  const { clock, said, patience, ranOut } = start();
  await patience.begin("server", "the server sends no events: overloaded");
  await clock.advance(30_000);
  await patience.begin("server", "the server sends no events: shutting_down");
  await clock.advance(29_999);
  expect(ranOut()).toBeNull();
  await clock.advance(1);
  expect(ranOut()).toBe("the server sends no events: overloaded");
  expect(said).toEqual(["the server sends no events: overloaded"]);
});

test("a party that comes back starts a new minute, and the other one's goes on", async () => {
  const { clock, patience, ranOut } = start();
  await patience.begin("server", "no events");
  await clock.advance(50_000);
  await patience.begin("device", "laptop is away");
  patience.end("server");
  await patience.begin("server", "no events again");
  await clock.advance(59_999);
  expect(ranOut()).toBeNull();
  await clock.advance(1);
  expect(ranOut()).toBe("laptop is away");
  patience.cancel();
  expect(clock.timerCount).toBe(0);
});

test("a party that was away for too long, and came back, does not end a wait that begins afterwards", async () => {
  const { clock, patience } = start();
  await patience.begin("server", "no events");
  await clock.advance(90_000);
  patience.end("server");
  let absent: string | null = null;
  void patience.ranOut.then((party) => (absent = party.absent));
  await clock.advance(90_000);
  expect(absent).toBeNull();
  await patience.begin("server", "no events again");
  await clock.advance(60_000);
  expect(absent).toBe("no events again");
});
