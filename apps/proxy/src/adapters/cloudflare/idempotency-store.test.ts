import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { testReservation, testResult, testScope } from "../../../test/support/test-reservation.ts";
import type { IdempotencyStore } from "../../idempotency/store.ts";
import { createDurableIdempotencyStore, type SendObjectStub } from "./idempotency-store.ts";

const reservation = testReservation(["a"]);
const calls: readonly ((store: IdempotencyStore) => Promise<unknown>)[] = [
  (store) => store.reserve(reservation),
  (store) => store.find(testScope, ["a"]),
  (store) => store.settle(reservation, testResult("a")),
  (store) => store.release(reservation),
  (store) => store.findConnection("default", "connection-1"),
];

function stubOf(respond: () => Promise<never>): SendObjectStub {
  return { reserve: respond, find: respond, settle: respond, release: respond, findConnection: respond };
}

test("every call rejects with a typed error after five seconds when the object does not respond", async () => {
  const clock = createVirtualClock();
  const store = createDurableIdempotencyStore({ objectOf: () => stubOf(() => new Promise(() => undefined)), clock });
  for (const call of calls) {
    let failure: unknown = null;
    void call(store).catch((cause: unknown) => (failure = cause));
    await clock.advance(4_999);
    expect(failure).toBeNull();
    await clock.advance(1);
    expect(failure).toMatchObject({ name: "IdempotencyUnavailableError", cause: { message: /in time/ } });
  }
});

test("a failure of the object, or of its name, is a typed error with its cause, and leaves no timer", async () => {
  const clock = createVirtualClock();
  const cause = new Error("broken");
  const failing = [
    () => stubOf(() => Promise.reject(cause)),
    () => {
      throw cause;
    },
  ];
  for (const objectOf of failing) {
    const store = createDurableIdempotencyStore({ objectOf, clock });
    for (const call of calls) {
      await expect(call(store)).rejects.toMatchObject({ name: "IdempotencyUnavailableError", cause });
    }
  }
  await clock.advance(0);
  expect(clock.timerCount).toBe(0);
});
