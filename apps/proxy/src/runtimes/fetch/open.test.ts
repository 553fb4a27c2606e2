import { expect, test } from "vitest";
import { createMovableClock } from "../../../test/support/create-movable-clock.ts";
import type { LogEvent } from "../../adapters/log-event.ts";
import { KeyStoreUnavailableError } from "../../keys/key-store-outages.ts";
import { openWhenCalled } from "./open.ts";

function start(outcomes: readonly (Error | null)[]) {
  const clock = createMovableClock();
  const events: LogEvent[] = [];
  let attempts = 0;
  const open = openWhenCalled(
    () => {
      const failure = outcomes[attempts++] ?? null;
      return failure === null ? Promise.resolve("gateway") : Promise.reject(failure);
    },
    { clock, log: (event) => void events.push(event) },
  );
  return { clock, events, open, attempts: () => attempts };
}

test("after the gateway fails to open, requests fail for a second, then the next one tries again; an open gateway stays open", async () => {
  const cause = new Error("no such file");
  const { clock, events, open, attempts } = start([cause, cause, null]);
  expect(await Promise.all([open(), open()])).toMatchObject([
    { kind: "failed", response: { status: 503, headers: { "retry-after": "1" } } },
    { kind: "failed" },
  ]);
  clock.move(999);
  expect([(await open()).kind, attempts()]).toEqual(["failed", 1]);
  clock.move(1);
  expect([(await open()).kind, attempts()]).toEqual(["failed", 2]);
  clock.move(1_000);
  expect(await open()).toEqual({ kind: "open", gateway: "gateway" });
  clock.move(10_000);
  expect([(await open()).kind, attempts()]).toEqual(["open", 3]);
  expect(events).toEqual([
    { type: "readiness_failed", check: "stores", cause },
    { type: "readiness_failed", check: "stores", cause },
    { type: "readiness_recovered", check: "stores" },
  ]);
});

test("a key store that does not respond has its own problem, and its cause is in the log once", async () => {
  const cause = new KeyStoreUnavailableError({ cause: new Error("ECONNREFUSED") });
  const { events, open } = start([cause]);
  const { response } = { response: null, ...(await open()) };
  expect(response).toMatchObject({ status: 503, body: expect.stringContaining("key_store_unavailable") });
  expect(events).toEqual([{ type: "key_store_failed", requestId: "-", reason: "ECONNREFUSED", cause }]);
});
