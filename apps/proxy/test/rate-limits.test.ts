/** Rate limits in the pipeline: when they are checked, and what callers and telemetry see. */
import type { ConnectionRecord } from "@letta-environments/environment-server";
import { jsonResponse, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import type { AuditEntry } from "../src/audit/entry.ts";
import type { AuditLog } from "../src/audit/log.ts";
import type { RateLimitsFile } from "../src/config/file.ts";
import type { UpstreamFetch } from "../src/ports.ts";
import type { RateLimitStore } from "../src/rate-limit/store.ts";
import { embedServer } from "../src/upstream/embedded.ts";
import { environmentRow } from "./support/environment-row.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { createLimitedProxy } from "./support/limited-proxy.ts";
import { bodyOf, createTestProxy, problemOf, type TestProxy } from "./support/test-proxy.ts";

function perKey(limit: number, more: object = {}): RateLimitsFile {
  return { policies: { mine: { per: ["key"], limit, ...more } } };
}

const message = JSON.stringify({ messages: [{ role: "user", content: "x", client_message_id: "m" }] });

function send({ proxy }: TestProxy, key: string, connectionId = "conn-1"): Promise<PlainResponse> {
  const path = `/v1/environments/${connectionId}/messages`;
  return proxy.handle(
    fakeRequest({ key, method: "POST", path, headers: { "content-type": "application/json" }, body: message }),
  );
}

test("a send over the limit is recorded as refused, with its connection", async () => {
  const entries: AuditEntry[] = [];
  const audit: AuditLog = { append: (entry) => Promise.resolve(void entries.push(entry)) };
  const testProxy = createLimitedProxy(perKey(1), { audit });
  const { key, record } = await testProxy.issueKey();
  await testProxy.proxy.handle(fakeRequest({ key }));
  expect((await send(testProxy, key)).status).toBe(429);
  expect(entries).toMatchObject([
    {
      type: "send_refused",
      status: 429,
      code: "rate_limited",
      keyId: record.id,
      connectionId: "conn-1",
      messageIds: [],
    },
  ]);
});

test("every response reports the remaining quota, and a request over the limit is 429 and not forwarded", async () => {
  const testProxy = createLimitedProxy(perKey(2));
  const { key } = await testProxy.issueKey();
  const ask = (): Promise<PlainResponse> => testProxy.proxy.handle(fakeRequest({ key }));
  const first = await ask();
  expect(first.headers).toMatchObject({ "ratelimit-policy": '"mine";q=2;w=60', ratelimit: '"mine";r=1;t=30' });
  await ask();
  const before = testProxy.upstreamRequests.length;
  const refused = await ask();
  expect([refused.status, problemOf(refused).errorCode]).toEqual([429, "rate_limited"]);
  expect(refused.headers).toMatchObject({
    "retry-after": "30",
    ratelimit: '"mine";r=0;t=30',
    "x-should-retry": "true",
  });
  expect(testProxy.upstreamRequests).toHaveLength(before);
  expect(testProxy.events.at(-1)).toMatchObject({ type: "request", status: 429, limitedBy: ["mine"] });
  await testProxy.clock.advance(30_000);
  expect((await ask()).status).toBe(200);
});

test("exactly 10 of 200 simultaneous requests pass a limit of 10", async () => {
  const testProxy = createLimitedProxy(perKey(10));
  const { key } = await testProxy.issueKey();
  const responses = await Promise.all(Array.from({ length: 200 }, () => testProxy.proxy.handle(fakeRequest({ key }))));
  expect(responses.filter(({ status }) => status === 200)).toHaveLength(10);
  expect(testProxy.upstreamRequests).toHaveLength(10);
});

test("requests that fail authorisation or match no endpoint are not counted", async () => {
  const testProxy = createLimitedProxy(perKey(1));
  const { key } = await testProxy.issueKey({ scopes: ["list"] });
  for (let count = 0; count < 3; count++) {
    const read = await testProxy.proxy.handle(fakeRequest({ key, path: "/v1/environments/device-1" }));
    expect(read.status).toBe(403);
    expect((await testProxy.proxy.handle(fakeRequest({ path: "/v1/nothing" }))).status).toBe(404);
  }
  expect((await testProxy.proxy.handle(fakeRequest({ key }))).status).toBe(200);
});

test("keys are counted separately, each by its own override if it has one", async () => {
  const testProxy = createLimitedProxy(perKey(1));
  const keys = [
    await testProxy.issueKey(),
    await testProxy.issueKey({ rateLimits: { mine: "3/1m" } }),
    await testProxy.issueKey({ rateLimits: { mine: "none" } }),
  ];
  const passed: number[] = [];
  for (const { key } of keys) {
    const responses = await Promise.all(Array.from({ length: 5 }, () => testProxy.proxy.handle(fakeRequest({ key }))));
    passed.push(responses.filter(({ status }) => status === 200).length);
  }
  expect(passed).toEqual([1, 3, 5]);
});

test("a key with an override of a limit per tenant gets its own counter, separate from the tenant's", async () => {
  const testProxy = createLimitedProxy({ policies: { mine: { per: ["tenant"], limit: 2 } } });
  const [own, plain] = [await testProxy.issueKey({ rateLimits: { mine: "4/1d" } }), await testProxy.issueKey()];
  const passed = async (key: string): Promise<number> => {
    const responses = await Promise.all(Array.from({ length: 6 }, () => testProxy.proxy.handle(fakeRequest({ key }))));
    return responses.filter(({ status }) => status === 200).length;
  };
  expect([await passed(own.key), await passed(plain.key)]).toEqual([4, 2]);
  await testProxy.clock.advance(3_600_000);
  expect([await passed(own.key), await passed(plain.key)]).toEqual([0, 2]);
});

test("sends are counted by device", async () => {
  const testProxy = createLimitedProxy({
    policies: { sends: { per: ["key", "device"], limit: 1, routes: ["sendMessage"] } },
  });
  const { key } = await testProxy.issueKey();
  const statuses = [await send(testProxy, key), await send(testProxy, key), await send(testProxy, key, "c")];
  expect(statuses.map(({ status }) => status === 429)).toEqual([false, true, false]);
});

describe("limits per device", () => {
  const row = environmentRow("1", { deviceId: "d-1", connectionId: "conn-1", connectionName: "laptop" });
  const list = { connections: [row], hasNextPage: false };
  const devices: UpstreamFetch = ({ path }) => Promise.resolve(jsonResponse(200, path.endsWith("/d-1") ? row : list));
  const twice: RateLimitsFile = { policies: { device: { per: ["device"], limit: 2 } } };
  const read = (testProxy: TestProxy, key: string): Promise<PlainResponse> =>
    testProxy.proxy.handle(fakeRequest({ key, path: "/v1/environments/d-1" }));

  test("a limit per device counts the devices of each tenant separately, even where they have the same id", async () => {
    const testProxy = createLimitedProxy(twice, { upstream: devices });
    const [mine, theirs] = [await testProxy.issueKey({ tenant: "a" }), await testProxy.issueKey({ tenant: "b" })];
    for (let count = 0; count < 3; count++) await read(testProxy, theirs.key);
    expect((await read(testProxy, theirs.key)).status).toBe(429);
    expect((await read(testProxy, mine.key)).status).toBe(200);
  });

  test.each([
    ["other ids", { deviceIds: ["d-2"] }],
    ["other names", { connectionNames: ["ci-*"] }],
    ["tags", { deviceTags: ["ci"] }],
  ])(
    "a limit per device is not charged by a key that is limited to %s and cannot reach the device",
    async (_what, allowlist) => {
      const testProxy = createLimitedProxy(twice, { upstream: devices });
      const outsider = await testProxy.issueKey(allowlist);
      const owner = await testProxy.issueKey();
      for (let count = 0; count < 5; count++) {
        await read(testProxy, outsider.key);
        await send(testProxy, outsider.key, "d-1");
      }
      expect((await read(testProxy, owner.key)).status).toBe(200);
      // What GET /v1/ratelimit shows is what the next request is charged to.
      const shown = await testProxy.proxy.handle(
        fakeRequest({ key: owner.key, path: "/v1/ratelimit", query: "operation=sendMessage&deviceId=d-1" }),
      );
      expect(bodyOf(shown)).toMatchObject({ policies: [{ remaining: 1 }] });
    },
  );

  test("a key that is limited to names sees its own read counter for a limit per device", async () => {
    const testProxy = createLimitedProxy(twice, { upstream: devices });
    const [insider, owner] = [await testProxy.issueKey({ connectionNames: ["lap*"] }), await testProxy.issueKey()];
    for (const { key } of [insider, owner, owner]) expect((await read(testProxy, key)).status).toBe(200);
    const query = "operation=retrieveEnvironment&deviceId=d-1";
    const shown = async (key: string): Promise<unknown> =>
      bodyOf(await testProxy.proxy.handle(fakeRequest({ key, path: "/v1/ratelimit", query })));
    expect(await shown(insider.key)).toMatchObject({ policies: [{ remaining: 1 }] });
    expect(await shown(owner.key)).toMatchObject({ policies: [{ remaining: 0 }] });
  });

  test("a limit per device is charged to the device of a connection only by keys that can reach it", async () => {
    const environment = { ...row, tenant: "default" } as unknown as ConnectionRecord["environment"];
    const connection = { connectionId: "conn-1", environment } as ConnectionRecord;
    const server = embedServer({
      operate: () => Promise.resolve(problemResponse("connection_not_found")),
      findConnection: () => Promise.resolve(connection),
    });
    const testProxy = createLimitedProxy(twice, { server });
    const outsider = await testProxy.issueKey({ connectionNames: ["ci-*"] });
    const insider = await testProxy.issueKey({ connectionNames: ["lap*"] });
    const owner = await testProxy.issueKey();
    const statuses: number[] = [];
    for (const { key } of [outsider, outsider, outsider, insider, owner, owner]) {
      statuses.push((await send(testProxy, key)).status);
    }
    expect(statuses).toEqual([404, 404, 429, 404, 404, 429]);
  });

  test.each([
    ["other ids", { deviceIds: ["d-2"] }],
    ["other names", { connectionNames: ["ci-*"] }],
    ["tags", { deviceTags: ["ci"] }],
  ])("a limit per device reveals no hidden device to a key that is limited to %s", async (_what, allowlist) => {
    const environment = { ...row, tenant: "default" } as unknown as ConnectionRecord["environment"];
    const connection = { connectionId: "conn-1", environment } as ConnectionRecord;
    const server = embedServer({
      operate: () => Promise.resolve(problemResponse("connection_not_found")),
      findConnection: (_tenant, id) => Promise.resolve(/^conn-[12]$/.test(id) ? connection : null),
    });
    const testProxy = createLimitedProxy({ policies: { device: { per: ["device"], limit: 9 } } }, { server });
    const { key } = await testProxy.issueKey(allowlist);
    const remaining = async (...connectionIds: readonly string[]): Promise<unknown[]> => {
      const responses: PlainResponse[] = [];
      for (const id of connectionIds) responses.push(await send(testProxy, key, id));
      return responses.map(({ status, headers }) => [status, headers["ratelimit"]]);
    };
    const hidden = await remaining("conn-1", "conn-2", "conn-1");
    expect(hidden).toEqual(await remaining("none-1", "none-2", "none-1"));
    const shown = await testProxy.proxy.handle(
      fakeRequest({ key, path: "/v1/ratelimit", query: "operation=sendMessage&deviceId=d-1" }),
    );
    expect(bodyOf(shown)).toMatchObject({ policies: [{ remaining: 9 }] });
  });
});

test("a request that ends releases its lease for the next one", async () => {
  const empty = jsonResponse(200, { connections: [], hasNextPage: false });
  let finish: () => void = () => undefined;
  const first = new Promise<PlainResponse>((resolve) => {
    finish = () => resolve(empty);
  });
  let calls = 0;
  const slow: UpstreamFetch = () => (calls++ === 0 ? first : Promise.resolve(empty));
  const testProxy = createLimitedProxy(perKey(1, { unit: "concurrent-requests" }), { upstream: slow });
  const { key } = await testProxy.issueKey();
  const running = testProxy.proxy.handle(fakeRequest({ key }));
  expect((await testProxy.proxy.handle(fakeRequest({ key }))).status).toBe(429);
  finish();
  expect((await running).headers["ratelimit-policy"]).toBe('"mine";q=1;qu="concurrent-requests"');
  expect((await testProxy.proxy.handle(fakeRequest({ key }))).status).toBe(200);
});

test("two requests with the same request id do not share a lease", async () => {
  const never: UpstreamFetch = () => new Promise(() => undefined);
  const testProxy = createLimitedProxy(perKey(1, { unit: "concurrent-requests" }), { upstream: never });
  const { key } = await testProxy.issueKey();
  const headers = { "x-request-id": "same-for-all" };
  void testProxy.proxy.handle(fakeRequest({ key, headers }));
  expect((await testProxy.proxy.handle(fakeRequest({ key, headers }))).status).toBe(429);
});

describe("requests that wait for the end of a turn", () => {
  const turns = embedServer({
    operate: () => new Promise(() => undefined),
    findConnection: () => Promise.resolve(null),
  });
  const messagePath = "/v1/environments/conn-1/messages";

  test.each([
    ["reads", { path: `${messagePath}/m1`, query: "wait=finished&waitSeconds=60" }],
    ["reads with an escaped parameter", { path: `${messagePath}/m1`, query: "w%61it=finished&waitSeconds=60" }],
    [
      "sends",
      {
        method: "POST",
        path: messagePath,
        headers: { "content-type": "application/json", prefer: "wait=60" },
        body: message,
      },
    ],
  ])("at most 100 %s of one key wait at the same time, for as long as they run", async (_what, request) => {
    const testProxy = createLimitedProxy({}, { server: turns });
    const { key } = await testProxy.issueKey();
    const other = await testProxy.issueKey();
    const ask = (from: string): Promise<PlainResponse> =>
      testProxy.proxy.handle(fakeRequest({ key: from, ...request }));
    const waiting = Array.from({ length: 100 }, () => ask(key));
    for (const elapsedMs of [0, 89_000]) {
      await testProxy.clock.advance(elapsedMs);
      const refused = await ask(key);
      expect([refused.status, problemOf(refused).errorCode, refused.headers["retry-after"]]).toEqual([
        ...[429, "rate_limited", "1"],
      ]);
    }
    // Another key, and reads that do not wait, have their own limits.
    const free = [ask(other.key), testProxy.proxy.handle(fakeRequest({ key, path: `${messagePath}/m1` }))];
    await testProxy.clock.advance(91_000);
    for (const response of await Promise.all([...waiting, ...free])) expect(response.status).toBe(504);
    const next = ask(key);
    await testProxy.clock.advance(91_000);
    expect((await next).status).toBe(504);
  });
});

test("a shadow policy refuses no request, is not shown, and is reported to telemetry", async () => {
  const testProxy = createLimitedProxy(perKey(1, { mode: "shadow" }));
  const { key } = await testProxy.issueKey();
  await testProxy.proxy.handle(fakeRequest({ key }));
  const second = await testProxy.proxy.handle(fakeRequest({ key }));
  expect([second.status, second.headers["ratelimit"]]).toEqual([200, undefined]);
  expect(testProxy.events.at(-1)).toMatchObject({ status: 200, shadowLimitedBy: ["mine"] });
});

describe("an unavailable store", () => {
  const away: RateLimitStore = {
    take: () => Promise.reject(new Error("away")),
    release: () => Promise.reject(new Error("away")),
  };

  test("an unavailable store is reported in a header, in telemetry and once in the log, while the process decides locally", async () => {
    const testProxy = createLimitedProxy(perKey(2), { store: away });
    const { key } = await testProxy.issueKey();
    const responses = [];
    for (let count = 0; count < 3; count++) responses.push(await testProxy.proxy.handle(fakeRequest({ key })));
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(responses[0]?.headers["ratelimit-degraded"]).toBe('"mine";decided=local');
    expect(testProxy.events.filter(({ type }) => type === "rate_limits_degraded")).toHaveLength(1);
    expect(testProxy.events.at(-1)).toMatchObject({ limitsDegraded: "unavailable" });
  });

  test("an unavailable store causes 503 under a closed policy", async () => {
    const testProxy = createLimitedProxy(perKey(2, { onStoreError: "closed" }), { store: away });
    const { key } = await testProxy.issueKey();
    const response = await testProxy.proxy.handle(fakeRequest({ key }));
    expect([response.status, problemOf(response).errorCode]).toEqual([503, "limits_unavailable"]);
    expect(response.headers["retry-after"]).toBe("1");
  });
});

describe("the endpoint GET /v1/ratelimit", () => {
  const ask = ({ proxy }: TestProxy, key: string, query = "", method = "GET"): Promise<PlainResponse> =>
    proxy.handle(fakeRequest({ key, path: "/v1/ratelimit", query, method }));

  test("GET /v1/ratelimit reports the remaining quota of an operation, and charges none of its policies", async () => {
    const testProxy = createLimitedProxy(perKey(2));
    const { key } = await testProxy.issueKey({ scopes: ["connect"] });
    for (let count = 0; count < 5; count++) {
      const response = await ask(testProxy, key, "operation=sendMessage&deviceId=device-1");
      expect([response.status, response.headers["ratelimit"]]).toEqual([200, '"mine";r=2;t=0']);
      expect(bodyOf(response)).toEqual({
        operation: "sendMessage",
        policies: [
          {
            name: "mine",
            unit: "requests",
            mode: "enforce",
            limit: 2,
            windowMs: 60_000,
            burst: 2,
            allowed: true,
            remaining: 2,
            resetMs: 0,
            retryAfterMs: 0,
            degraded: null,
          },
        ],
      });
    }
  });

  test("GET /v1/ratelimit has its own limit for each key, whatever policies are configured", async () => {
    const testProxy = createLimitedProxy(perKey(2));
    const [{ key }, other] = [await testProxy.issueKey(), await testProxy.issueKey()];
    for (let count = 0; count < 100; count++) expect((await ask(testProxy, key)).status).toBe(200);
    const refused = await ask(testProxy, key);
    expect([refused.status, refused.headers["retry-after"]]).toEqual([429, "1"]);
    expect(problemOf(refused)).toMatchObject({ "violated-policies": ["gateway-limit-queries"] });
    expect(testProxy.events.at(-1)).toMatchObject({ status: 429, limitedBy: ["gateway-limit-queries"] });
    expect((await ask(testProxy, other.key)).status).toBe(200);
    expect((await testProxy.proxy.handle(fakeRequest({ key }))).headers["ratelimit"]).toMatch(/^"mine";r=1;/);
    await testProxy.clock.advance(1_000);
    expect((await ask(testProxy, key)).status).toBe(200);
  });

  test("GET /v1/ratelimit reports the limits of reads that wait", async () => {
    const testProxy = createLimitedProxy({});
    const response = await ask(testProxy, (await testProxy.issueKey()).key, "operation=awaitMessage");
    expect(bodyOf(response)).toMatchObject({
      policies: [{ name: "gateway-requests" }, { name: "gateway-waiting-reads", limit: 100, remaining: 100 }],
    });
  });

  test("GET /v1/ratelimit requires a key, a valid query, and the method GET or HEAD", async () => {
    const testProxy = createLimitedProxy(perKey(2));
    const { key } = await testProxy.issueKey();
    expect((await ask(testProxy, "lek_nobody")).status).toBe(401);
    const wrong = await ask(testProxy, key, "operation=everything");
    expect(problemOf(wrong).errors?.[0]?.member).toBe("operation");
    expect((await ask(testProxy, key, "", "POST")).headers["allow"]).toBe("GET, HEAD");
    expect((await ask(testProxy, key, "", "HEAD")).body).toBeNull();
  });

  test("GET /v1/ratelimit returns an empty list if nothing is limited", async () => {
    const testProxy = createTestProxy();
    const response = await ask(testProxy, (await testProxy.issueKey()).key);
    expect(bodyOf(response)).toEqual({ operation: "listEnvironments", policies: [] });
  });
});

test("the items of an upstream's RateLimit header follow those of the gateway", async () => {
  const limited: UpstreamFetch = () =>
    Promise.resolve(jsonResponse(429, { message: "slow down" }, { ratelimit: '"theirs";r=0;t=9', "retry-after": "9" }));
  const testProxy = createLimitedProxy(perKey(100), { upstream: limited });
  const response = await testProxy.proxy.handle(fakeRequest({ key: (await testProxy.issueKey()).key }));
  expect(response.headers).toMatchObject({ ratelimit: '"mine";r=99;t=1, "theirs";r=0;t=9', "retry-after": "9" });
});
