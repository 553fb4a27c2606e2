import { endpoints, jsonResponse, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { createTestPrincipal } from "../../test/support/create-test-principal.ts";
import { problemOf } from "../../test/support/test-proxy.ts";
import type { UpstreamCredential, UpstreamFetch } from "../ports.ts";
import type { ProxyEvent } from "../telemetry.ts";
import { failureThreshold, probeIntervalMs } from "./attempt.ts";
import { divideCalls } from "./concurrency.ts";
import { createCallRemote, type RemoteExchange } from "./remote-call.ts";
import { maxSavedRetries, retriesPerRead } from "./retry.ts";
import { cloudflareStatuses } from "../../test/support/cloudflare-statuses.ts";

const unreachable: UpstreamFetch = () => Promise.resolve({ reason: "unreachable", cause: null });
const works: UpstreamFetch = () => Promise.resolve(jsonResponse(200, { success: true, message: "ok" }));
const hangs: UpstreamFetch = () => new Promise(() => undefined);

/** A call that the adapter never hands to a connection. */
const waits: UpstreamFetch = (_request, _signal, progress = { isSent: true }) => {
  progress.isSent = false;
  return new Promise(() => undefined);
};

function createWorld(fetch: UpstreamFetch) {
  const clock = createVirtualClock();
  const events: ProxyEvent[] = [];
  const sent: string[] = [];
  const world = {
    clock,
    events,
    sent,
    fetch,
    async call(name: "read" | "send", tenant = "one", signal = new AbortController().signal): Promise<PlainResponse> {
      return (await world.exchange(name, { tenant, signal })).response;
    },
    async exchange(
      name: "read" | "send",
      options: { tenant?: string; signal?: AbortSignal; timeoutMs?: number; credential?: UpstreamCredential } = {},
    ): Promise<RemoteExchange> {
      const { tenant = "one", signal = new AbortController().signal, timeoutMs = 10_000, credential } = options;
      const endpoint = name === "read" ? endpoints.retrieveEnvironment : endpoints.sendMessage;
      const body = name === "read" ? null : new Uint8Array(2);
      const principal = createTestPrincipal({ tenant });
      const known = credential !== undefined && { credential };
      const request = { method: endpoint.method, path: "/v1/x", query: "", headers: {}, body, principal, ...known };
      return callRemote(endpoint, request, { atMs: clock.monotonic() + timeoutMs, signal });
    },
    async breakDown(): Promise<void> {
      world.fetch = unreachable;
      for (let count = 0; count < failureThreshold; count++) await world.call("read");
      sent.length = 0;
    },
  };
  const callRemote = createCallRemote(
    { clock, random: () => 0, telemetry: (event) => void events.push(event) },
    (request, signal, progress) => {
      sent.push(request.method);
      return world.fetch(request, signal, progress);
    },
    divideCalls(4, 4, true),
  );
  return world;
}

describe("a failing upstream", () => {
  test("reads and sends fail immediately while the upstream is down, nothing is sent, and Retry-After says when to come back", async () => {
    const world = createWorld(works);
    await world.breakDown();
    for (const name of ["read", "send"] as const) {
      const response = await world.call(name);
      expect(problemOf(response).errorCode).toBe("upstream_unreachable");
      expect(response.headers).toMatchObject({ "retry-after": "1", "x-should-retry": "true" });
    }
    expect(world.sent).toEqual([]);
  });

  test("one read in each interval is the probe of an upstream that is down, and its success ends the outage", async () => {
    const world = createWorld(works);
    await world.breakDown();
    await world.clock.advance(probeIntervalMs);
    await Promise.all([world.call("read"), world.call("read"), world.call("send")]);
    expect(world.sent).toEqual(["GET"]);
    world.fetch = works;
    await world.clock.advance(probeIntervalMs);
    expect((await world.call("read")).status).toBe(200);
    expect((await world.call("send")).status).toBe(200);
    const durationMs = 2 * probeIntervalMs;
    expect(world.events.filter(({ type }) => type !== "upstream_failed")).toEqual([
      { type: "upstream_down", tenant: "one", reason: "unreachable", cause: null },
      { type: "upstream_recovered", tenant: "one", durationMs },
    ]);
  });

  test("a send is the probe only after another interval without a read", async () => {
    const world = createWorld(works);
    await world.breakDown();
    world.fetch = works;
    await world.clock.advance(probeIntervalMs * 2 - 1);
    expect((await world.call("send")).status).toBe(502);
    await world.clock.advance(1);
    expect((await world.call("send")).status).toBe(200);
  });

  test("other tenants are not affected while the upstream of one is down", async () => {
    const world = createWorld(works);
    await world.breakDown();
    world.fetch = works;
    expect((await world.call("read", "two")).status).toBe(200);
    expect((await world.call("read", "one")).status).toBe(502);
  });
});

test.each([502, 503, 504, ...cloudflareStatuses])(
  "an upstream that responds to reads with %d is down",
  async (status) => {
    const world = createWorld(() => Promise.resolve(jsonResponse(status, {})));
    for (let count = 0; count < failureThreshold; count++) await world.call("read");
    expect(problemOf(await world.call("read")).errorCode).toBe("upstream_unreachable");
    expect(world.sent).toHaveLength(failureThreshold);
  },
);

test("a send with a status of Cloudflare does not end an outage", async () => {
  const world = createWorld(works);
  await world.breakDown();
  world.fetch = () => Promise.resolve(jsonResponse(521, {}));
  await world.clock.advance(probeIntervalMs * 2);
  await world.call("send");
  await world.call("read");
  expect(world.sent).toEqual(["POST", "GET"]);
  expect(problemOf(await world.call("read")).errorCode).toBe("upstream_unreachable");
  expect(world.events.map(({ type }) => type)).not.toContain("upstream_recovered");
});

test.each(["unexpected_continue", "undecodable"] as const)(
  "an upstream whose response the client does not accept is not down: %s",
  async (reason) => {
    const world = createWorld(() => Promise.resolve({ reason, cause: null }));
    for (let count = 0; count <= failureThreshold; count++) await world.call("read");
    expect(world.sent).toHaveLength(failureThreshold + 1);
  },
);

test.each(["broken", "unreachable"] as const)(
  "calls that end because the gateway stops are no failures of the upstream, and are not repeated: %s",
  async (reason) => {
    const world = createWorld(() => Promise.resolve({ reason, cause: null, isStopped: true }));
    for (let count = 0; count <= failureThreshold; count++) await world.call("read");
    expect([world.sent.length, world.events]).toEqual([failureThreshold + 1, []]);
    const { detail } = problemOf(await world.call("send"));
    expect(detail).toMatch(/^The gateway stopped before the upstream had responded\./);
  },
);

describe("log events about the upstream", () => {
  const page = (status: number): PlainResponse => ({ status, headers: { "content-type": "text/html" }, body: "<p>" });
  const fault = { status: 503, contentType: "text/html", cause: null };

  test("the log says that an upstream responds with errors or with a web page, and which status the outage has", async () => {
    const world = createWorld(() => Promise.resolve(page(503)));
    for (const name of ["read", "read", "send"] as const) await world.call(name);
    world.fetch = () => Promise.resolve(page(200));
    await world.clock.advance(probeIntervalMs);
    await world.call("read");
    const failed = { type: "upstream_failed", operation: "retrieveEnvironment", reason: "status", ...fault };
    const down = { type: "upstream_down", tenant: "one", reason: "status", ...fault };
    expect(world.events).toEqual([
      ...[failed, failed, failed, failed, failed, down],
      { type: "upstream_recovered", tenant: "one", durationMs: probeIntervalMs },
      { ...failed, reason: "invalid", status: 200 },
    ]);
  });

  test.each([
    ["text/html; charset=utf-8", "text/html"],
    ["text/html; x=Bearer secret-1", "text/html"],
    ["text/secret-1", null],
    ["text/html x", null],
    [`text/${"x".repeat(60)}`, null],
  ])("the log shows no credential that the upstream repeats as the media type %j", async (contentType, shown) => {
    for (const status of [200, 500]) {
      const world = createWorld(() => Promise.resolve({ status, headers: { "content-type": contentType }, body: "" }));
      await world.exchange("read", { credential: { value: "secret-1" } });
      expect(world.events).toMatchObject([{ type: "upstream_failed", contentType: shown }]);
    }
  });

  test("the log does not report a send that the device of another gateway did not accept", async () => {
    const world = createWorld(() => Promise.resolve(problemResponse("delivery_unknown")));
    await world.call("send");
    expect(world.events).toEqual([]);
  });

  test("the log says once for each operation that the upstream refuses the gateway's credential, until it accepts it", async () => {
    const world = createWorld(works);
    for (const status of [401, 403, 200, 401, 401]) {
      world.fetch = () => Promise.resolve(jsonResponse(status, {}));
      await world.call("read");
    }
    await world.call("send", "two");
    const event = {
      type: "upstream_credential_rejected",
      tenant: "one",
      operation: "retrieveEnvironment",
      status: 401,
    };
    expect(world.events).toEqual([event, event, { ...event, tenant: "two", operation: "sendMessage" }]);
  });

  test("the log says at most once in ten minutes that the upstream refuses its credential for some resources, and always that it is no longer valid", async () => {
    const world = createWorld(works);
    const respond = async (...statuses: number[]): Promise<void> => {
      for (const status of statuses) {
        world.fetch = () => Promise.resolve(jsonResponse(status, {}));
        await world.call("read");
      }
    };
    const logged = () => world.events.splice(0).flatMap((event) => ("status" in event ? [event.status] : []));
    await respond(403, 200, 403, 200, 403);
    expect(logged()).toEqual([403]);
    await respond(401, 401, 200, 401);
    expect(logged()).toEqual([401, 401]);
    await respond(200, 403, 200);
    await world.clock.advance(600_000);
    await respond(200, 403);
    expect(logged()).toEqual([403, 403]);
    await respond(200);
    await world.clock.advance(600_000);
    await respond(403, 403);
    await world.clock.advance(600_000);
    await respond(403);
    expect(logged()).toEqual([403]);
  });

  test("a redirect does not count as accepting the credential, so the log does not report the refusal again", async () => {
    const world = createWorld(works);
    for (const status of [401, 302, 401]) {
      world.fetch = () => Promise.resolve({ ...jsonResponse(status, {}), headers: { location: "/" } });
      await world.call("read");
    }
    expect(world.events.filter(({ type }) => type === "upstream_credential_rejected")).toHaveLength(1);
  });

  test("the log does not report a refusal of a caller's own credential", async () => {
    const world = createWorld(() => Promise.resolve(jsonResponse(401, {})));
    const refused: number[] = [];
    await world.exchange("read", {
      credential: { value: "x", onCallerRefused: (status) => void refused.push(status) },
    });
    expect([refused, world.events]).toEqual([[401], []]);
  });
});

describe("tenants at their limit of calls", () => {
  test("a call over the limit of its tenant is refused as overloaded after a short wait, and is not sent; other tenants are served", async () => {
    const world = createWorld(hangs);
    void Promise.all([world.call("read"), world.call("send")]);
    for (const name of ["read", "send"] as const) {
      const pending = world.call(name);
      await world.clock.advance(100);
      const response = await pending;
      expect(problemOf(response).errorCode).toBe("overloaded");
      expect(response.headers).toMatchObject({ "retry-after": "1", "x-should-retry": "true" });
    }
    expect(world.sent).toEqual(["GET", "POST"]);
    world.fetch = works;
    expect((await world.call("read", "two")).status).toBe(200);
  });

  test("a waiting call runs when another one ends, even by its deadline", async () => {
    const world = createWorld(hangs);
    void Promise.all([world.call("read"), world.call("read")]);
    await world.clock.advance(9_950);
    world.fetch = works;
    const pending = world.call("send");
    await world.clock.advance(50);
    expect((await pending).status).toBe(200);
  });
});

describe("sends to the upstream", () => {
  test("a send is attempted only once, whatever the result", async () => {
    for (const result of [
      { reason: "unreachable", cause: null } as const,
      { reason: "broken", cause: null } as const,
      ...[429, 500, 502, 503, 504, ...cloudflareStatuses].map((status) => jsonResponse(status, {})),
    ]) {
      const world = createWorld(() => Promise.resolve(result));
      await world.call("send");
      expect(world.sent).toEqual(["POST"]);
    }
  });

  test("a send that fails, or is slow because of its device, does not mean that the upstream is down unless the connection failed", async () => {
    const world = createWorld(() => Promise.resolve(jsonResponse(504, {})));
    for (let count = 0; count < failureThreshold; count++) await world.call("send");
    world.fetch = hangs;
    for (let count = 0; count < failureThreshold; count++) {
      const pending = world.call("send");
      await world.clock.advance(10_000);
      expect(problemOf(await pending).errorCode).toBe("delivery_unknown");
    }
    world.fetch = works;
    expect((await world.call("send")).status).toBe(200);
  });

  test("a send whose deadline passes before it is sent is an upstream_timeout that may be repeated, and never delivery_unknown", async () => {
    const world = createWorld(waits);
    const pending = world.call("send");
    await world.clock.advance(10_000);
    const response = await pending;
    expect(problemOf(response).errorCode).toBe("upstream_timeout");
    expect(response.headers["x-should-retry"]).toBe("true");
  });

  test("a send whose deadline passes before the attempt is an upstream_timeout, and nothing is sent", async () => {
    const world = createWorld(works);
    const { end, response } = await world.exchange("send", { timeoutMs: 0 });
    expect(problemOf(response).errorCode).toBe("upstream_timeout");
    expect(end).toEqual({ reason: "unreachable", cause: null });
    expect(world.sent).toEqual([]);
  });

  test("a send whose caller disconnects before it is sent is recorded as not sent", async () => {
    const world = createWorld(waits);
    const caller = new AbortController();
    const pending = world.call("send", "one", caller.signal);
    caller.abort();
    const response = await pending;
    expect([response.status, problemOf(response).errorCode]).toEqual([499, "upstream_unreachable"]);
  });
});

describe("reads from the upstream", () => {
  test("a read is repeated after a transient failure, and its caller gets the later response", async () => {
    const results = [jsonResponse(503, {}), { reason: "broken", cause: null } as const, jsonResponse(200, { a: 1 })];
    const world = createWorld(() => Promise.resolve(results.shift() ?? jsonResponse(500, {})));
    expect((await world.call("read")).status).toBe(200);
    expect(world.sent).toEqual(["GET", "GET", "GET"]);
  });

  test("a read that keeps failing returns the upstream's own error", async () => {
    const world = createWorld(() => Promise.resolve(jsonResponse(503, { message: "busy" })));
    expect(problemOf(await world.call("read"))).toMatchObject({ status: 503, detail: "busy" });
    expect(world.sent).toHaveLength(3);
  });

  test("retries of reads are limited by a budget, so that an overloaded upstream does not get three times the load", async () => {
    const world = createWorld(() => Promise.resolve(jsonResponse(429, {})));
    const reads = 60;
    for (let count = 0; count < reads; count++) await world.call("read");
    expect(world.sent.length).toBeGreaterThan(reads);
    expect(world.sent.length).toBeLessThanOrEqual(reads + maxSavedRetries + reads * retriesPerRead);
  });

  test("a read that cannot be retried because its tenant is at its limit returns the upstream's first response", async () => {
    const world = createWorld(() => Promise.resolve(jsonResponse(503, { message: "busy" }, { "retry-after": "1" })));
    const pending = world.call("read");
    await world.clock.advance(0);
    world.fetch = hangs;
    void Promise.all([world.call("read"), world.call("read")]);
    await world.clock.advance(1_100);
    const response = await pending;
    expect(problemOf(response)).toMatchObject({ status: 503, detail: "busy" });
    expect([response.headers["retry-after"], world.sent.length]).toEqual(["1", 3]);
  });

  test("a read that waits for a retry ends when its caller disconnects", async () => {
    const world = createWorld(() => Promise.resolve(jsonResponse(503, {}, { "retry-after": "3" })));
    const caller = new AbortController();
    const pending = world.call("read", "one", caller.signal);
    await world.clock.advance(1);
    caller.abort();
    await pending;
    await world.clock.advance(5_000);
    expect(world.sent).toHaveLength(1);
  });
});
