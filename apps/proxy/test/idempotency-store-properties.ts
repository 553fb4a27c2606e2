import fc from "fast-check";
import { expect, test } from "vitest";
import { IdempotencyUnavailableError, type Reservation } from "../src/idempotency/store.ts";
import type { IdempotencyStorePromises, OpenIdempotencyStore } from "./idempotency-store-contract.ts";
import { createIdempotencyModel } from "./support/idempotency-model.ts";
import { createMovableClock } from "./support/create-movable-clock.ts";
import { testResult, testScope } from "./support/test-reservation.ts";

const tenants = fc.constantFrom("x", "y");
const idSets = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d"), { minLength: 1, maxLength: 3 });

const moves = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 20_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: -20_000, max: -1 }) },
  { weight: 1, arbitrary: fc.constantFrom(-86_400_000, 86_399_999, 86_400_000, 3_600_000) },
);

const attempts = fc.nat({ max: 30 });
const steps = fc.record({
  moveMs: moves,
  step: fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("reserve" as const),
        tenant: tenants,
        conversationId: fc.constantFrom("", "c"),
        ids: idSets,
        connectionId: fc.constantFrom("one", "two"),
        leaseMs: fc.constantFrom(10_000, 60_000),
        isLate: fc.nat({ max: 4 }).map((value) => value === 0),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("settle" as const), attempt: attempts }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("release" as const), attempt: attempts }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("find" as const), tenant: tenants, ids: idSets }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const) }) },
  ),
});

/** Tests that a store does the same as the model, for every sequence of calls and changes of the clock. */
export function describeIdempotencyProperties(
  { time, runs }: IdempotencyStorePromises,
  open: OpenIdempotencyStore,
): void {
  test("the store behaves like the reference model for every sequence of calls, even when the clock is changed", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 5, maxLength: 40 }), async (sequence) => {
        const clock = createMovableClock();
        const { store: opened, connect } = open(clock);
        let store = opened;
        const model = createIdempotencyModel();
        const startMs = clock.now() - clock.monotonic();
        const now = (): number => (time === "monotonic" ? startMs + clock.monotonic() : clock.now());
        const known: Reservation[] = [];
        for (const [index, { moveMs, step }] of sequence.entries()) {
          clock.move(moveMs);
          if (step.kind === "reserve") {
            const { tenant, conversationId, ids, connectionId, leaseMs } = step;
            const reservation: Reservation = {
              sendId: `send-${index}`,
              scope: { ...testScope, tenant, conversationId },
              entries: ids.map((id) => ({ id, fingerprint: `${index}` })),
              connectionId,
              connection: { environmentId: "row", deviceId: `device ${index}`, connectionName: tenant },
              leaseMs,
            };
            known.push(reservation);
            if (step.isLate) {
              await store.release(reservation);
              await expect(store.reserve(reservation)).rejects.toBeInstanceOf(IdempotencyUnavailableError);
              continue;
            }
            const outcome = await store.reserve(reservation);
            expect(sorted(outcome)).toEqual(sorted(model.reserve(reservation, now())));
          } else if (step.kind === "find") {
            const { tenant, ids } = step;
            const scope = { ...testScope, tenant, conversationId: "c" };
            expect(sorted({ entries: await store.find(scope, ids) })).toEqual(
              sorted({ entries: model.find(scope, ids, now()) }),
            );
            const connection = await store.findConnection(tenant, "one");
            expect(connection).toEqual(model.findConnection(tenant, "one", now()));
          } else if (step.kind === "reopen") {
            // A store by monotonic time takes the wall time when it is opened, so there its own tests open it again.
            if (time === "wall") store = connect?.() ?? store;
          } else {
            const reservation = known[step.attempt % Math.max(1, known.length)];
            if (reservation === undefined) continue;
            if (step.kind === "release") {
              await store.release(reservation);
              model.release(reservation);
            } else {
              await store.settle(reservation, testResult(`${index}`));
              model.settle(reservation, testResult(`${index}`), now());
            }
          }
        }
      }),
      { numRuns: runs },
    );
  });
}

/** An outcome with its entries in one order: a store may return them in any. */
function sorted(outcome: object): object {
  if (!("entries" in outcome)) return outcome;
  const entries = outcome.entries as readonly { readonly id: string }[];
  return { ...outcome, entries: entries.toSorted((left, right) => (left.id < right.id ? -1 : 1)) };
}
