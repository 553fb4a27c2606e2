/** Responses to callers and devices while the key store does not respond. */
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { emptyEmbeddedUpstream } from "../test/support/embedded-upstream.ts";
import { fakeRequest } from "../test/support/fake-request.ts";
import { silentListener } from "../test/support/fake-sockets.ts";
import { createTestProxy, emptyUpstream, issueTestKey, problemOf } from "../test/support/test-proxy.ts";
import { createMemoryKeyStore } from "./adapters/memory/key-store.ts";
import type { GatewayRequest } from "./http/gateway-request.ts";
import { revokeKey } from "./keys/key-lifecycle.ts";
import { KeyStoreUnavailableError } from "./keys/key-store-outages.ts";
import type { KeyStore } from "./ports.ts";

/** A proxy over a store that can be made unavailable. */
async function setUp() {
  const memory = createMemoryKeyStore();
  const clock = createVirtualClock();
  const state = { isDown: false, reads: 0 };
  const cause = new KeyStoreUnavailableError({ cause: new Error("no connection") });
  const keyStore: KeyStore = {
    ...memory,
    find(id) {
      state.reads += 1;
      return state.isDown ? Promise.reject(cause) : memory.find(id);
    },
  };
  const deviceSockets = {
    upgrade: () =>
      Promise.resolve({
        kind: "accepted" as const,
        owner: { tenant: "acme", keyId: "key" },
        attach: () => silentListener,
      }),
  };
  const testProxy = createTestProxy(emptyUpstream, {
    ports: { keyStore, clock, deviceSockets, upstream: emptyEmbeddedUpstream },
  });
  const issued = await issueTestKey(memory, clock, { scopes: ["list", "read", "send", "connect"] });
  const { proxy, events } = testProxy;
  const codeOf = async (request: GatewayRequest): Promise<string | number> => {
    const response = await proxy.handle(request);
    return response.status === 200 ? 200 : problemOf(response).errorCode;
  };
  return { ...issued, proxy, events, memory, clock, state, codeOf };
}

test("a key that cannot be looked up is 503 with a time to repeat after, and the reason is only logged", async () => {
  const { key, proxy, events, state } = await setUp();
  state.isDown = true;
  const response = await proxy.handle(fakeRequest({ key }));
  expect(response).toMatchObject({ status: 503, headers: { "retry-after": "2", "x-should-retry": "true" } });
  expect(problemOf(response).errorCode).toBe("key_store_unavailable");
  expect(JSON.stringify(problemOf(response))).not.toContain("no connection");
  expect(events).toMatchObject([
    { type: "key_store_failed", requestId: expect.stringMatching(/^req/), reason: "no connection" },
    { type: "request", status: 503, keyId: null },
  ]);
  expect(events[0]).not.toHaveProperty("cause");
});

test("a device receives 503 with Retry-After at its registration and at its socket", async () => {
  const { key, proxy, codeOf, state } = await setUp();
  state.isDown = true;
  const register = { method: "POST", path: "/v1/environments/register", key, body: "{}" };
  expect(await codeOf(fakeRequest(register))).toBe("key_store_unavailable");
  const decision = await proxy.upgrade(fakeRequest({ path: "/v1/environments/conn-1/socket", key }));
  expect(decision).toMatchObject({ kind: "refused", response: { status: 503, headers: { "retry-after": "2" } } });
});

test("a failed key lookup is not cached", async () => {
  const { key, record, codeOf, memory, state } = await setUp();
  state.isDown = true;
  expect(await codeOf(fakeRequest({ key }))).toBe("key_store_unavailable");
  state.isDown = false;
  expect(await codeOf(fakeRequest({ key }))).toBe(200);
  await memory.update(record.id, (current) => revokeKey(current, 1));
  state.isDown = true;
  expect(await codeOf(fakeRequest({ key }))).toBe("key_store_unavailable");
  state.isDown = false;
  expect(await codeOf(fakeRequest({ key }))).toBe("invalid_key");
});

test("cached keys still work, and malformed keys are still refused without a read", async () => {
  const { key, codeOf, state } = await setUp();
  expect(await codeOf(fakeRequest({ key }))).toBe(200);
  state.isDown = true;
  state.reads = 0;
  expect(await codeOf(fakeRequest({ key }))).toBe(200);
  for (const malformed of [`${key}x`, key.slice(0, -1), "lek_nonsense", ""]) {
    expect(await codeOf(fakeRequest({ headers: { authorization: `Bearer ${malformed}` } }))).toBe("invalid_key");
  }
  expect(state.reads).toBe(0);
});

test("a defect in the store, as opposed to an outage, is an internal error", async () => {
  const { key, proxy, events, memory } = await setUp();
  memory.find = () => Promise.reject(new Error("the record cannot be read"));
  expect((await proxy.handle(fakeRequest({ key }))).status).toBe(500);
  expect(events).toMatchObject([{ type: "internal_error" }, { type: "request", status: 500 }]);
});
