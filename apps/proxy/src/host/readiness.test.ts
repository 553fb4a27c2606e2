import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { createReadiness, type ReadinessChange, readinessResponse } from "./readiness.ts";

/** A check that fails as long as a cause is set. */
function setUp() {
  const clock = createVirtualClock();
  const state: { cause: Error | null; runs: number; isHanging: boolean } = { cause: null, runs: 0, isHanging: false };
  const changes: ReadinessChange[] = [];
  const read = createReadiness(
    clock,
    [
      { name: "disk", run: () => Promise.resolve() },
      {
        name: "keys",
        async run() {
          state.runs += 1;
          if (state.isHanging) await new Promise(() => undefined);
          if (state.cause !== null) throw state.cause;
        },
      },
    ],
    (change) => void changes.push(change),
  );
  return { clock, state, changes, read };
}

const ready = [
  { name: "disk", isReady: true },
  { name: "keys", isReady: true },
];
const notReady = [
  { name: "disk", isReady: true },
  { name: "keys", isReady: false },
];

test("the checks run at most once in two seconds, however many probes arrive", async () => {
  const { clock, state, read } = setUp();
  expect(await Promise.all([read(), read(), read()])).toEqual([ready, ready, ready]);
  await clock.advance(1_999);
  await read();
  expect(state.runs).toBe(1);
  await clock.advance(1);
  await read();
  expect(state.runs).toBe(2);
});

test("a failing check makes the process unready until it works again, and each change is reported once with its cause", async () => {
  const { clock, state, changes, read } = setUp();
  state.cause = new Error("the disk is full");
  expect(await read()).toEqual(notReady);
  await clock.advance(2_000);
  expect(await read()).toEqual(notReady);
  const { cause } = state;
  state.cause = null;
  await clock.advance(2_000);
  expect(await read()).toEqual(ready);
  expect(changes).toEqual([
    { name: "keys", isReady: false, cause },
    { name: "keys", isReady: true, cause: null },
  ]);
});

test("a check that hangs counts as failed after a second, and does not run again before it has finished", async () => {
  const { clock, state, read } = setUp();
  state.isHanging = true;
  for (let round = 0; round < 5; round++) {
    const reading = read();
    await clock.advance(1_000);
    expect(await reading).toEqual(notReady);
    await clock.advance(1_000);
  }
  expect([state.runs, clock.timerCount]).toEqual([1, 0]);
});

describe("responses of the readiness check", () => {
  test("the readiness response names the failing checks, but not the causes", () => {
    expect(readinessResponse(ready, false, "")).toMatchObject({ status: 200, body: '{"status":"ready"}' });
    const response = readinessResponse(notReady, false, "");
    expect(response).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
    expect(JSON.parse(String(response.body))).toMatchObject({
      errorCode: "not_ready",
      detail: "These checks fail: keys.",
    });
  });

  test("the readiness response is 503 shutting_down while the process stops, even if every check works", () => {
    expect(String(readinessResponse(ready, true, "").body)).toContain("shutting_down");
  });

  test.each([
    [ready, false, 200, "[+]disk ok\n[+]keys ok\n[+]shutdown ok\nreadyz check passed\n"],
    [notReady, false, 503, "[+]disk ok\n[-]keys failed\n[+]shutdown ok\nreadyz check failed\n"],
    [ready, true, 503, "[+]disk ok\n[+]keys ok\n[-]shutdown failed\nreadyz check failed\n"],
  ])(
    "the readiness response with ?verbose has a line for each check: %j, stopping %s",
    (results, isDraining, status, body) => {
      expect(readinessResponse(results, isDraining, "verbose")).toMatchObject({ status, body });
    },
  );
});
