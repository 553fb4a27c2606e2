import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createTestPrincipal } from "../../test/support/create-test-principal.ts";
import { neverAborted, runWithDeadline } from "../lib/deadline.ts";
import type { ProxyEvent } from "../telemetry.ts";
import { createOpenCircuits, observeUpstream } from "./observers.ts";
import { createMetricTable } from "./table.ts";

const down = (tenant: string): ProxyEvent => ({ type: "upstream_down", tenant });

/** A request of a tenant that ends with a status. */
function ended(tenant: string, status: number): ProxyEvent {
  const ids = { requestId: "req-1", tenant, keyId: "key-1" };
  return { type: "request", ...ids, method: "GET", operation: "listEnvironments", status, durationMs: 1 };
}

test("a tenant counts as without upstream until its upstream recovers, for as long as its requests fail", async () => {
  const clock = createVirtualClock();
  const circuits = createOpenCircuits(clock);
  circuits.record(down("acme"));
  circuits.record(down("umbrella"));
  expect(circuits.count()).toBe(2);
  const recovered: ProxyEvent = { type: "upstream_recovered", tenant: "umbrella", durationMs: 1_000 };
  circuits.record(recovered);
  for (let minute = 0; minute < 30; minute++) {
    await clock.advance(60_000);
    circuits.record(ended("acme", 503));
  }
  expect(circuits.count()).toBe(1);
});

test("a tenant without requests or without failures stops counting after five minutes, and counts again with its next failure", async () => {
  const clock = createVirtualClock();
  const circuits = createOpenCircuits(clock);
  circuits.record(down("acme"));
  await clock.advance(299_999);
  circuits.record(ended("acme", 200));
  circuits.record(ended("umbrella", 503));
  expect(circuits.count()).toBe(1);
  await clock.advance(1);
  expect(circuits.count()).toBe(0);
  circuits.record(ended("acme", 502));
  expect(circuits.count()).toBe(1);
});

test("tenants that stopped sending do not keep others from being counted", async () => {
  const clock = createVirtualClock();
  const circuits = createOpenCircuits(clock);
  for (let index = 0; index < 10_000; index++) circuits.record(down(`t-${index}`));
  await clock.advance(300_000);
  circuits.record(ended("t-0", 503));
  circuits.record(down("acme"));
  expect(circuits.count()).toBe(2);
});

test("the tenants whose upstream is down take a bounded amount of memory", () => {
  const circuits = createOpenCircuits(createVirtualClock());
  for (let index = 0; index < 30_000; index++) circuits.record(down(`t-${index}`));
  expect(circuits.count()).toBe(10_000);
});

test("a call to the upstream that the stop of the gateway ends counts as aborted, and not as broken", async () => {
  const table = createMetricTable();
  const request = { method: "GET", path: "/", query: "", headers: {}, body: null, principal: createTestPrincipal() };
  for (const end of [{}, { isStopped: true }] as const) {
    const observed = observeUpstream(table, createVirtualClock(), async () => ({
      reason: "broken",
      cause: null,
      ...end,
    }));
    await observed(request, new AbortController().signal);
  }
  const labels = table.read().flatMap(({ series }) => series.map((reading) => reading.labels));
  expect(labels).toEqual([
    ["GET", "", "broken"],
    ["GET", "", "aborted"],
  ]);
});

test("a call to the upstream that its deadline or its caller ends counts as a timeout or as aborted, and not as broken", async () => {
  const table = createMetricTable();
  const clock = createVirtualClock();
  const request = { method: "GET", path: "/", query: "", headers: {}, body: null, principal: createTestPrincipal() };
  const observed = observeUpstream(
    table,
    clock,
    (_request, signal) =>
      new Promise((resolve) => {
        signal.addEventListener("abort", () => resolve({ reason: "broken", cause: null }));
      }),
  );
  const caller = new AbortController();
  const call = (signal: AbortSignal) =>
    runWithDeadline(clock, { atMs: clock.monotonic() + 1_000, signal }, (aborted) => observed(request, aborted));
  const slow = call(neverAborted);
  await clock.advance(1_000);
  const left = call(caller.signal);
  caller.abort();
  expect([await slow, await left]).toEqual([{ kind: "timed_out" }, { kind: "caller_gone" }]);
  const labels = table.read().flatMap(({ series }) => series.map((reading) => reading.labels));
  expect(labels).toEqual([
    ["GET", "", "timeout"],
    ["GET", "", "aborted"],
  ]);
});
