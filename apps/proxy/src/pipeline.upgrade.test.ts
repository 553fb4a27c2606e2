import { expect, test } from "vitest";
import { emptyEmbeddedUpstream } from "../test/support/embedded-upstream.ts";
import { fakeRequest } from "../test/support/fake-request.ts";
import { silentListener } from "../test/support/fake-sockets.ts";
import { createTestProxy, emptyUpstream, problemOf, type TestProxy } from "../test/support/test-proxy.ts";
import type { DeviceSockets } from "./ports.ts";
import { createObserver } from "./tracing/observer.ts";
import type { Span } from "./tracing/spans.ts";

const accepting: DeviceSockets = {
  upgrade: () =>
    Promise.resolve({
      kind: "accepted",
      owner: { tenant: "acme", keyId: "key" },
      attach: () => silentListener,
    }),
};
const socketPath = "/v1/environments/conn-1/socket";

function embedded(deviceSockets: DeviceSockets): TestProxy {
  return createTestProxy(emptyUpstream, { ports: { deviceSockets, upstream: emptyEmbeddedUpstream } });
}

async function refusalOf(testProxy: TestProxy, path: string, key?: string): Promise<string> {
  const decision = await testProxy.proxy.upgrade(fakeRequest({ path, ...(key !== undefined && { key }) }));
  return decision.kind === "accepted" ? "accepted" : problemOf(decision.response).errorCode;
}

test("an upgrade passes the same steps as a request, and the server receives its principal", async () => {
  const seen: unknown[] = [];
  const testProxy = embedded({
    upgrade(request, principal) {
      seen.push([request.path, request.query, principal.keyId, request.headers["authorization"]]);
      return accepting.upgrade(request, principal);
    },
  });
  const { key, record } = await testProxy.issueKey({ scopes: ["connect"] });
  const decision = await testProxy.proxy.upgrade(fakeRequest({ path: socketPath, query: "deviceId=d1", key }));
  expect(decision.kind).toBe("accepted");
  expect(seen).toEqual([[socketPath, "deviceId=d1", record.id, undefined]]);
  expect(testProxy.events).toMatchObject([{ type: "request", operation: "openDeviceSocket", status: 101 }]);
});

test("an accepted socket ends the span of its request, whose trace its line in the log names", async () => {
  const spans: Span[] = [];
  const wrapStep = createObserver({
    clock: { now: () => 1_800_000_000_000, monotonic: () => 0 },
    random: () => 0.5,
    randomHex: (bytes) => "ab".repeat(bytes),
    sampleRatio: 1,
    onStep: () => undefined,
    onSpans: (ended) => spans.push(...ended),
  });
  const ports = { deviceSockets: accepting, upstream: emptyEmbeddedUpstream, wrapStep };
  const testProxy = createTestProxy(emptyUpstream, { ports });
  const { key } = await testProxy.issueKey({ scopes: ["connect"] });
  await testProxy.proxy.upgrade(fakeRequest({ path: socketPath, key }));
  const server = spans.find(({ kind }) => kind === "server");
  expect(server).toMatchObject({ name: "GET openDeviceSocket", attributes: { "http.response.status_code": 101 } });
  expect(testProxy.events).toMatchObject([{ type: "request", status: 101, traceId: server?.traceId }]);
});

test("a socket without a key, with a bad key, or without the scope is refused before its handshake", async () => {
  const testProxy = embedded(accepting);
  const { key } = await testProxy.issueKey({ scopes: ["list", "read", "send"] });
  expect(await refusalOf(testProxy, socketPath)).toBe("missing_key");
  expect(await refusalOf(testProxy, socketPath, "lek_wrong")).toBe("invalid_key");
  expect(await refusalOf(testProxy, socketPath, key)).toBe("insufficient_scope");
});

test("an upgrade at any other path is refused", async () => {
  const testProxy = embedded(accepting);
  const { key } = await testProxy.issueKey({ scopes: ["list", "read", "send", "connect"] });
  expect(await refusalOf(testProxy, "/v1/environments", key)).toBe("endpoint_not_found");
  expect(await refusalOf(testProxy, "/v1/environments/..%2f/socket", key)).toBe("invalid_id");
  expect(await refusalOf(testProxy, "/socket", key)).toBe("endpoint_not_found");
});

test("a defect during the decision refuses the upgrade and is reported", async () => {
  const cause = new Error("broken");
  const testProxy = embedded({ upgrade: () => Promise.reject(cause) });
  const { key } = await testProxy.issueKey({ scopes: ["connect"] });
  expect(await refusalOf(testProxy, socketPath, key)).toBe("internal_error");
  expect(testProxy.events).toContainEqual(expect.objectContaining({ type: "internal_error", cause }));
});

test("a plain request to the socket's path is 426", async () => {
  const testProxy = embedded(accepting);
  const { key } = await testProxy.issueKey({ scopes: ["connect"] });
  const response = await testProxy.proxy.handle(fakeRequest({ path: socketPath, key }));
  expect(response).toMatchObject({ status: 426, headers: { upgrade: "websocket", connection: "close, Upgrade" } });
});
