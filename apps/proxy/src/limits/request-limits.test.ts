import { createVirtualClock, type VirtualClock } from "@letta-environments/testkit";
import { randomId } from "@letta-environments/platform/node";
import { expect, test } from "vitest";
import { createTestPrincipal } from "../../test/support/create-test-principal.ts";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { problemOf } from "../../test/support/test-proxy.ts";
import { createMemoryRateLimitStore } from "../adapters/memory/rate-limit-store.ts";
import type { LimitedRoute } from "./settings.ts";
import type { RateLimitsFile } from "../config/file.ts";
import { resolveRateLimits } from "../config/resolve-rate-limits.ts";
import { createRateLimiter } from "../rate-limit/limiter.ts";
import { createRequestLimits, type RequestLimits } from "./request-limits.ts";

const context = { address: "192.0.2.1", device: null };

function setUp(file: RateLimitsFile): { limits: RequestLimits; clock: VirtualClock } {
  const clock = createVirtualClock();
  const store = createMemoryRateLimitStore(clock);
  const limiter = createRateLimiter({ store, localStore: store, clock, onDegraded: () => undefined });
  return { limits: createRequestLimits(limiter, resolveRateLimits(file, false).settings, { clock, randomId }), clock };
}

test("a refused request gets a problem with the policies that refused and a Retry-After", async () => {
  const { limits } = setUp({ policies: { two: { per: ["key"], limit: 2 }, many: { per: ["key"], limit: 100 } } });
  const take = () => limits.take(createTestPrincipal(), "listEnvironments", context);
  expect([(await take()).refusal, (await take()).refusal]).toEqual([null, null]);
  const { refusal } = await take();
  if (refusal === null) throw new Error("expected a refusal");
  expect(refusal.headers).toMatchObject({ "retry-after": "30", "x-should-retry": "true" });
  expect(problemOf(refusal)).toMatchObject({
    status: 429,
    type: "https://iana.org/assignments/http-problem-types#quota-exceeded",
    errorCode: "rate_limited",
    "violated-policies": ["two"],
  });
});

test("a request that costs more than the burst of a key's override must not be retried", async () => {
  const { limits } = setUp({ policies: { small: { per: ["key"], limit: 5, costs: { sendMessage: 3 } } } });
  const principal = { ...createTestPrincipal(), rateLimits: { small: "2/1m" } };
  const { refusal } = await limits.take(principal, "sendMessage", context);
  expect(refusal?.headers).toMatchObject({ "x-should-retry": "false" });
  expect(refusal?.headers["retry-after"]).toBeUndefined();
});

test("a request that ends releases its lease for the next one", async () => {
  const { limits } = setUp({ policies: { one: { per: ["key"], limit: 1, unit: "concurrent-requests" } } });
  const take = () => limits.take(createTestPrincipal(), "sendMessage", context);
  const first = await take();
  expect((await take()).refusal?.status).toBe(429);
  first.release();
  expect((await take()).refusal).toBeNull();
});

test("a probe charges nothing", async () => {
  const { limits } = setUp({ policies: { one: { per: ["key"], limit: 1 } } });
  for (let asked = 0; asked < 3; asked++) {
    expect(await limits.probe(createTestPrincipal(), "listEnvironments", context)).toMatchObject({
      admitted: true,
      decisions: [{ remaining: 1 }],
    });
  }
  expect((await limits.take(createTestPrincipal(), "listEnvironments", context)).refusal).toBeNull();
});

test("an address with too many failures is blocked until its limit allows one more, and no other address is", async () => {
  const file: RateLimitsFile = {
    policies: { failures: { per: ["address"], limit: 2, routes: ["failedAuthentication"] } },
  };
  const { limits, clock } = setUp(file);
  for (let failure = 0; failure < 2; failure++) {
    expect((await limits.countFailure("192.0.2.1")).refusal).toBeNull();
  }
  expect(limits.blockOf("192.0.2.1")).toBeNull();
  expect((await limits.countFailure("192.0.2.1")).refusal?.status).toBe(429);
  expect(limits.blockOf("192.0.2.1")?.refusal?.status).toBe(429);
  expect(limits.blockOf("192.0.2.2")).toBeNull();
  await clock.advance(30_000);
  expect(limits.blockOf("192.0.2.1")).toBeNull();
});

test("setting the wall clock neither prolongs nor ends the block of an address", async () => {
  for (const byMs of [-86_400_000, 86_400_000]) {
    const { limits, clock } = setUp({
      policies: { failures: { per: ["address"], limit: 1, routes: ["failedAuthentication"] } },
    });
    for (let failure = 0; failure < 2; failure++) await limits.countFailure("192.0.2.1");
    clock.shiftWallTime(byMs);
    await clock.advance(59_999);
    expect(limits.blockOf("192.0.2.1")?.refusal?.headers["retry-after"]).toBe("1");
    await clock.advance(1);
    expect(limits.blockOf("192.0.2.1")).toBeNull();
  }
});

test("the address is that of the peer, or of the client that the trusted proxy reported", () => {
  const request = fakeRequest({ headers: { "x-forwarded-for": "198.51.100.7, 203.0.113.5" } });
  expect(setUp({}).limits.addressOf(request)).toBe("127.0.0.1");
  expect(setUp({ trustedHops: 1 }).limits.addressOf(request)).toBe("203.0.113.5");
});

test("an override of a key replaces the policy, or exempts the key from it", async () => {
  const { limits } = setUp({ policies: { a: { per: ["key"], limit: 10 }, b: { per: ["key"], limit: 10 } } });
  const own = createTestPrincipal({ rateLimits: { a: "1/2s/3", b: "none", other: "none" } });
  const { decisions } = await limits.probe(own, "listEnvironments", context);
  expect(decisions.map(({ policy }) => policy)).toMatchObject([{ name: "a", limit: 1, burst: 3, mode: "enforce" }]);
});

test("the limit on queries has its own counter, also beside a policy of the same name", async () => {
  const policy = { per: ["key" as const], limit: 1, windowMs: 3_600_000 };
  const { limits } = setUp({ policies: { "gateway-limit-queries": policy } });
  const take = async () => (await limits.take(createTestPrincipal(), "listEnvironments", context)).refusal?.status;
  expect([await take(), await take()]).toEqual([undefined, 429]);
  expect((await limits.takeQuery(createTestPrincipal())).refusal).toBeNull();
  expect((await limits.probe(createTestPrincipal(), "listEnvironments", context)).decisions).toMatchObject([
    { remaining: 0, resetMs: 3_600_000 },
  ]);
});

test("a policy only counts requests of its routes", async () => {
  const { limits } = setUp({ policies: { sends: { per: ["key", "device"], limit: 1, routes: ["sendMessage"] } } });
  const namesOf = async (route: LimitedRoute): Promise<string[]> =>
    (await limits.probe(createTestPrincipal(), route, context)).decisions.map(({ policy }) => policy.name);
  expect([await namesOf("sendMessage"), await namesOf("listEnvironments")]).toEqual([["sends"], []]);
});
