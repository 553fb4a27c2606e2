/**
 * A simulated outage of the upstream, on a virtual clock and a seeded random source: reads and sends of several tenants arrive at random while the
 * upstream is down for a minute, in each way in which a server can be down.
 */
import { endpoints, jsonResponse } from "@letta-environments/schema";
import { createRandom, createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import type { UpstreamFetch, UpstreamRequest } from "../src/ports.ts";
import { probeIntervalMs } from "../src/upstream/attempt.ts";
import { divideCalls } from "../src/upstream/concurrency.ts";
import { createCallRemote } from "../src/upstream/remote-call.ts";
import { createTestPrincipal } from "./support/create-test-principal.ts";

const outage = { fromMs: 10_000, toMs: 70_000 };
const endMs = 80_000;

const failures: Readonly<Record<string, UpstreamFetch>> = {
  "refuses connections": () => Promise.resolve({ reason: "unreachable", cause: null }),
  "breaks connections": () => Promise.resolve({ reason: "broken", cause: null }),
  "returns 503": () => Promise.resolve(jsonResponse(503, {})),
  "returns 503 with Retry-After": () => Promise.resolve(jsonResponse(503, {}, { "retry-after": "1" })),
  "does not respond": () => new Promise(() => undefined),
};

interface Outcome {
  /** Requests of callers during the outage, and those that reached the upstream meanwhile. */
  readonly asked: number;
  readonly load: number;
  readonly loadOfSends: number;
  readonly sends: number;
  /** When each read failed that arrived after the outage. */
  readonly lateFailures: readonly number[];
  readonly reads: number;
  readonly failedBefore: number;
}

async function simulate(fail: UpstreamFetch, seed: number, readsPerSecond: number): Promise<Outcome> {
  const clock = createVirtualClock();
  const random = createRandom(seed).fraction;
  const isDown = (): boolean => clock.monotonic() >= outage.fromMs && clock.monotonic() < outage.toMs;
  const count = { asked: 0, load: 0, loadOfSends: 0, sends: 0, reads: 0, failedBefore: 0 };
  const lateFailures: number[] = [];
  const fetch: UpstreamFetch = (request, signal) => {
    if (!isDown()) return Promise.resolve(jsonResponse(200, { success: true, message: "ok" }));
    count.load += 1;
    if (request.method === "POST") count.loadOfSends += 1;
    return fail(request, signal);
  };
  const ports = { clock, random, telemetry: () => undefined };
  const call = createCallRemote(ports, fetch, divideCalls(10_000, 10_000, true));
  const { signal } = new AbortController();
  const pending: Promise<void>[] = [];

  function arrive(): void {
    const isSend = random() < 0.1;
    const endpoint = isSend ? endpoints.sendMessage : endpoints.retrieveEnvironment;
    const request: UpstreamRequest = {
      method: endpoint.method,
      path: "/v1/environments/x",
      query: "",
      headers: {},
      body: isSend ? new Uint8Array(2) : null,
      principal: createTestPrincipal({ tenant: random() < 0.5 ? "one" : "two" }),
    };
    const atMs = clock.monotonic();
    if (isDown()) count.asked += 1;
    if (isDown() && isSend) count.sends += 1;
    const run = async (): Promise<void> => {
      const { response } = await call(endpoint, request, { atMs: atMs + 5_000, signal });
      const { status } = response;
      if (status !== 200 && atMs < outage.fromMs - 5_000) count.failedBefore += 1;
      if (status !== 200 && atMs >= outage.toMs) lateFailures.push(atMs - outage.toMs);
    };
    pending.push(run());
  }

  while (clock.monotonic() < endMs) {
    // Arrivals of a Poisson process.
    await clock.advance(Math.max(1, Math.round((-Math.log(1 - random()) * 1_000) / readsPerSecond)));
    arrive();
  }
  await clock.advance(10_000);
  await Promise.all(pending);
  return { ...count, lateFailures };
}

describe.each(Object.entries(failures))("while an upstream %s for 60 seconds", (_name, fail) => {
  test.each([
    [1, 2],
    [2, 20],
    [3, 100],
  ])(
    "an upstream that is down gets at most 1.2 times the load, and is used again within one probe interval (seed %d, %d requests a second)",
    async (seed, readsPerSecond) => {
      const outcome = await simulate(fail, seed, readsPerSecond);
      expect(outcome.failedBefore).toBe(0);
      expect(outcome.asked).toBeGreaterThan(readsPerSecond * 50);
      expect(outcome.load).toBeLessThanOrEqual(outcome.asked * 1.2);
      expect(outcome.loadOfSends).toBeLessThanOrEqual(outcome.sends);
      // A tenant's own next request can be later than its probe is allowed.
      expect(Math.max(0, ...outcome.lateFailures)).toBeLessThanOrEqual(probeIntervalMs);
    },
    60_000,
  );
});
