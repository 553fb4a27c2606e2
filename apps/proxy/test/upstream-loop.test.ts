/** Gateways whose upstream leads back to them, and gateways that stand one behind the other. */
import { createMemoryCacheStore } from "@letta-environments/http-cache";
import { sha256Hex } from "@letta-environments/platform/node";
import { jsonResponse, type PlainResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { createEnvironmentCache } from "../src/cache/environment-cache.ts";
import type { UpstreamFetch, UpstreamRequest } from "../src/ports.ts";
import { environmentRow } from "./support/environment-row.ts";
import { type FakeRequest, fakeRequest } from "./support/fake-request.ts";
import { createTestProxy, problemOf, type TestProxy } from "./support/test-proxy.ts";

interface Gateway extends TestProxy {
  readonly key: string;
}

/** A gateway, with a cache, whose key may do everything. */
async function openGateway(upstream: UpstreamFetch): Promise<Gateway> {
  const clock = { now: () => testProxy.clock.now() };
  const environmentCache = createEnvironmentCache({
    store: createMemoryCacheStore({ clock }),
    clock,
    sha256: sha256Hex,
    onError: (_operation, cause) => {
      throw cause;
    },
  })({ upstream: "https://upstream.example", showsStatus: () => true });
  const testProxy = createTestProxy(upstream, { ports: { environmentCache } });
  const { key } = await testProxy.issueKey({ scopes: ["list", "read", "send", "control"] });
  return { ...testProxy, key };
}

/** Passes requests to a gateway as an upstream: with the key of that gateway. */
function leadTo(target: () => Gateway): UpstreamFetch {
  return async ({ method, path, query, headers, body }) => {
    const { proxy, key } = target();
    const response = await proxy.handle(
      fakeRequest({ method, path, query, headers: { ...headers, authorization: `Bearer ${key}` }, body }),
    );
    return { ...response, body: response.body ?? "" };
  };
}

const sendBody = JSON.stringify({ agentId: "a", messages: [{ role: "user", content: "x", client_message_id: "m" }] });
const requests: readonly (readonly [string, FakeRequest])[] = [
  ["list", { path: "/v1/environments" }],
  ["read of a device", { path: "/v1/environments/d-1" }],
  ["send", { method: "POST", path: "/v1/environments/c-1/messages", body: sendBody }],
  ["control operation", { method: "POST", path: "/v1/environments/c-1/stop", body: '{"agentId":"a"}' }],
];

function ask({ proxy, key }: Gateway, request: FakeRequest): Promise<PlainResponse> {
  return proxy.handle(fakeRequest({ key, ...request, headers: { "content-type": "application/json" } }));
}

function viaOf({ headers }: UpstreamRequest): string {
  return headers["via"] ?? "";
}

describe("loops of gateways", () => {
  test.each(requests)(
    "a %s to a gateway that is its own upstream is 508 immediately, after one call",
    async (_name, request) => {
      const gateway: Gateway = await openGateway(leadTo(() => gateway));
      const response = await ask(gateway, request);
      expect(problemOf(response)).toMatchObject({ status: 508, errorCode: "loop_detected" });
      expect(response.headers["x-should-retry"]).toBe("false");
      expect(gateway.upstreamRequests).toHaveLength(1);
      expect(gateway.upstreamRequests.map(viaOf)).toEqual([expect.stringMatching(/^1\.1 letta-proxy-[0-9a-z]{26}$/)]);
    },
  );

  test("a loop over a second gateway is 508 when a request comes back to the first one", async () => {
    const first: Gateway = await openGateway(leadTo(() => second));
    const second: Gateway = await openGateway(leadTo(() => first));
    const response = await ask(first, { path: "/v1/environments" });
    expect(problemOf(response)).toMatchObject({ status: 508, errorCode: "loop_detected" });
    expect([first.upstreamRequests.length, second.upstreamRequests.length]).toEqual([1, 1]);
  });

  test("only the caller whose Via names the gateway gets 508: others that wait for the same read are not affected", async () => {
    const [held, arrival] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const gateway = await openGateway(async () => {
      arrival.resolve();
      await held.promise;
      return jsonResponse(200, { connections: [environmentRow("1")], hasNextPage: false });
    });
    const waiting = ask(gateway, { path: "/v1/environments" });
    await arrival.promise;
    const via = gateway.upstreamRequests.map(viaOf).join();
    const forged = await gateway.proxy.handle(fakeRequest({ key: gateway.key, headers: { via } }));
    expect(forged.status).toBe(508);
    held.resolve();
    expect((await waiting).status).toBe(200);
    const hit = await gateway.proxy.handle(fakeRequest({ key: gateway.key, headers: { via } }));
    expect([hit.status, gateway.upstreamRequests.length]).toEqual([200, 1]);
  });
});

test("two gateways in series serve requests, and the server behind them sees both in the order of the path", async () => {
  const last: UpstreamFetch = () => Promise.resolve(jsonResponse(200, { connections: [], hasNextPage: false }));
  const second = await openGateway(last);
  const first = await openGateway(leadTo(() => second));
  const request = fakeRequest({ key: first.key, headers: { via: "1.1 edge.example" } });
  expect((await first.proxy.handle(request)).status).toBe(200);
  const names = second.upstreamRequests.map(viaOf).join().split(", ");
  expect(names).toEqual(["1.1 edge.example", ...[1, 2].map(() => expect.stringMatching(/^1\.1 letta-proxy-\w+$/))]);
  expect(names[1]).not.toBe(names[2]);
});
