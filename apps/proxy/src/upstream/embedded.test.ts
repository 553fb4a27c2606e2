import { endpoints, jsonResponse, type PlainResponse } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createTestPrincipal } from "../../test/support/create-test-principal.ts";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { problemOf } from "../../test/support/test-proxy.ts";
import { createMemoryKeyStore } from "../adapters/memory/key-store.ts";
import type { EmbeddedServer } from "../ports.ts";
import { createEmbeddedUpstream } from "./embedded.ts";
import type { SendRecord, UpstreamCall } from "./upstream.ts";

function setUp(
  start: SendRecord["start"],
  result: () => Promise<PlainResponse> = () =>
    Promise.resolve(jsonResponse(200, { success: true, message: "accepted" })),
) {
  const clock = createVirtualClock();
  const operations: string[] = [];
  const operate: EmbeddedServer["operate"] = (operation) => {
    operations.push(operation);
    return result();
  };
  const server = { operate, findConnection: () => Promise.resolve(null) };
  const keyStore = createMemoryKeyStore();
  const upstream = createEmbeddedUpstream({ clock, keyStore, telemetry: () => undefined }, server);
  const forward = (call: Pick<UpstreamCall, "endpoint" | "decoded">): Promise<PlainResponse> =>
    upstream.forward({
      ...call,
      request: fakeRequest(),
      requestId: "r1",
      query: "",
      body: null,
      principal: createTestPrincipal(),
      connection: null,
      deadline: { atMs: clock.monotonic() + 1_000, signal: new AbortController().signal },
      record: {
        sendId: "send-1",
        start,
        appendStartInTransaction: () => undefined,
        markStarted: () => undefined,
        recordModeSwitch: () => Promise.resolve(),
        delayResponseUntil: () => undefined,
      },
      idempotencyKey: null,
      waitSeconds: null,
      forgetBody: () => undefined,
    });
  const send = (): Promise<PlainResponse> =>
    forward({
      endpoint: endpoints.sendMessage,
      decoded: { operation: "sendMessage", params: { connectionId: "c" }, query: null, body: { messages: [] } },
    });
  const register = (): Promise<PlainResponse> =>
    forward({
      endpoint: endpoints.registerEnvironment,
      decoded: {
        operation: "registerEnvironment",
        params: {},
        query: null,
        body: { deviceId: "d", connectionName: "box" },
      },
    });
  const control = (operation: "stopTurn" | "resumeQueue"): Promise<PlainResponse> =>
    forward({
      endpoint: endpoints[operation],
      decoded: { operation, params: { connectionId: "c" }, query: null, body: { agentId: "a" } },
    });
  return { clock, operations, send, register, control };
}

test("a send that is refused before delivery does not reach the embedded server", async () => {
  const { operations, send } = setUp(() => Promise.resolve(jsonResponse(503, {})));
  expect((await send()).status).toBe(503);
  expect(operations).toEqual([]);
});

test("a send whose deadline passes before delivery is safe to repeat", async () => {
  const { clock, operations, send } = setUp(async () => {
    await clock.advance(1_000);
    return null;
  });
  const response = await send();
  expect(problemOf(response).errorCode).toBe("upstream_timeout");
  expect(response.headers["x-message-deduplication"]).toBe("86400");
  expect(operations).toEqual([]);
});

test("a registration that times out may be repeated, because it delivers no message", async () => {
  const { clock, register } = setUp(
    () => Promise.resolve(null),
    () => new Promise(() => undefined),
  );
  const pending = register();
  await clock.advance(1_000);
  const response = await pending;
  expect(problemOf(response).errorCode).toBe("upstream_timeout");
  expect(response.headers["x-should-retry"]).toBe("true");
});

test("a send that times out announces deduplication, as the server's other responses do", async () => {
  const { clock, send } = setUp(
    () => Promise.resolve(null),
    () => new Promise(() => undefined),
  );
  const pending = send();
  await clock.advance(1_000);
  const response = await pending;
  expect(problemOf(response).errorCode).toBe("delivery_unknown");
  expect(response.headers["x-message-deduplication"]).toBe("86400");
});

test("a command that times out is not declared safe to repeat, since a repeat could undo later changes", async () => {
  const { clock, control } = setUp(
    () => Promise.resolve(null),
    () => new Promise(() => undefined),
  );
  const pending = Promise.all([control("stopTurn"), control("resumeQueue")]);
  await clock.advance(1_000);
  const responses = await pending;
  for (const response of responses) expect(problemOf(response).errorCode).toBe("control_unknown");
  expect(responses.map(({ headers }) => headers["x-should-retry"])).toEqual(["false", "false"]);
});
