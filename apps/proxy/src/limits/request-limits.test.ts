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

const traits = { address: "192.0.2.1", device: null };

function setUp(file: RateLimitsFile): { limits: RequestLimits; clock: VirtualClock } {
  const clock = createVirtualClock();
  const store = createMemoryRateLimitStore(clock);
  const limiter = createRateLimiter({ store, localStore: store, clock, onDegraded: () => undefined });
  return { limits: createRequestLimits(limiter, resolveRateLimits(file, false).settings, { clock, randomId }), clock };
}

test("a refused request gets the draft's problem with the policies that refused, and when to come again", async () => {
  const { limits } = setUp({ policies: { two: { per: ["key"], limit: 2 }, many: { per: ["key"], limit: 100 } } });
  const take = () => limits.take(createTestPrincipal(), "listEnvironments", traits);
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

test("a request that costs more than a key's own measure ever lets pass is not to be repeated", async () => {
  const { limits } = setUp({ policies: { small: { per: ["key"], limit: 5, costs: { sendMessage: 3 } } } });
  const principal = { ...createTestPrincipal(), rateLimits: { small: "2/1m" } };
  const { refusal } = await limits.take(principal, "sendMessage", traits);
  expect(refusal?.headers).toMatchObject({ "x-should-retry": "false" });
  expect(refusal?.headers["retry-after"]).toBeUndefined();
});

test("a request that ended makes room for the next one", async () => {
  const { limits } = setUp({ policies: { one: { per: ["key"], limit: 1, unit: "concurrent-requests" } } });
  const take = () => limits.take(createTestPrincipal(), "sendMessage", traits);
  const first = await take();
  expect((await take()).refusal?.status).toBe(429);
  first.release();
  expect((await take()).refusal).toBeNull();
});

test("a probe takes nothing", async () => {
  const { limits } = setUp({ policies: { one: { per: ["key"], limit: 1 } } });
  for (let asked = 0; asked < 3; asked++) {
    expect(await limits.probe(createTestPrincipal(), "listEnvironments", traits)).toMatchObject({
      admitted: true,
      decisions: [{ remaining: 1 }],
    });
  }
  expect((await limits.take(createTestPrincipal(), "listEnvironments", traits)).refusal).toBeNull();
});

test("an address with too many failures is shut out until its limit allows one more, and no other address is", async () => {
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

test("the address is that of the peer, or of the hop that the configuration believes", () => {
  const request = fakeRequest({ headers: { "x-forwarded-for": "198.51.100.7, 203.0.113.5" } });
  expect(setUp({}).limits.addressOf(request)).toBe("127.0.0.1");
  expect(setUp({ trustedHops: 1 }).limits.addressOf(request)).toBe("203.0.113.5");
});

test("a key's own measure counts in the place of the policy's, and lifts the policy where it says so", async () => {
  const { limits } = setUp({ policies: { a: { per: ["key"], limit: 10 }, b: { per: ["key"], limit: 10 } } });
  const own = createTestPrincipal({ rateLimits: { a: "1/2s/3", b: "none", other: "none" } });
  const { decisions } = await limits.probe(own, "listEnvironments", traits);
  expect(decisions.map(({ policy }) => policy)).toMatchObject([{ name: "a", limit: 1, burst: 3, mode: "enforce" }]);
});

test("a policy counts on its routes alone", async () => {
  const { limits } = setUp({ policies: { sends: { per: ["key", "device"], limit: 1, routes: ["sendMessage"] } } });
  const namesOf = async (route: LimitedRoute): Promise<string[]> =>
    (await limits.probe(createTestPrincipal(), route, traits)).decisions.map(({ policy }) => policy.name);
  expect([await namesOf("sendMessage"), await namesOf("listEnvironments")]).toEqual([["sends"], []]);
});
