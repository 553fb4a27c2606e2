import type { EventStream, StreamEnd } from "@letta-environments/environment-server";
import { problemResponse } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import type { Authentication, GatewayPrincipal } from "../auth/authentication.ts";
import type { ProxyEvent } from "../telemetry.ts";
import { createEventStreams } from "./event-streams.ts";

const principal: GatewayPrincipal = {
  tenant: "acme",
  keyId: "key-1",
  owner: "ada",
  scopes: new Set(["list"] as const),
  deviceIds: ["device-a"],
  connectionNames: null,
  agentIds: null,
  maxMode: null,
  shared: false,
};

function createFakeStream(): EventStream {
  let settle: (reason: StreamEnd) => void = () => undefined;
  const ended = new Promise<StreamEnd>((resolve) => (settle = resolve));
  return { stream: new ReadableStream(), ended, end: (reason) => settle(reason) };
}

async function setUp(authenticated: () => Authentication | Promise<Authentication>) {
  const clock = createVirtualClock();
  const events: ProxyEvent[] = [];
  const stream = createFakeStream();
  let hasBeenEnded = false;
  const streams = createEventStreams({
    clock,
    telemetry: (event) => void events.push(event),
    server: {
      openEvents: () => Promise.resolve({ kind: "opened", stream }),
      endEvents: () => {
        hasBeenEnded = true;
        stream.end("shutdown");
      },
    },
  });
  streams.authenticateWith(authenticated);
  const request = { query: {}, lastEventId: null, requestId: "req-1", principal, authorization: "Bearer x" };
  const response = await streams.open(request);
  return { clock, events, streams, request, response, hasBeenEnded: () => hasBeenEnded };
}

const reasonsOf = (events: readonly ProxyEvent[]): unknown[] =>
  events.map((event) => (event.type === "stream_ended" ? event.reason : event.type));

test("a stream stays open while its credential has the same permissions, and while the key store fails", async () => {
  const answers: (() => Authentication)[] = [
    () => ({ kind: "authenticated", principal: { ...principal, scopes: new Set(["list"] as const) } }),
    () => ({ kind: "refused", response: problemResponse("key_store_unavailable") }),
    () => {
      throw new Error("the key store does not respond");
    },
  ];
  let calls = 0;
  const { clock, events, response } = await setUp(() => answers[calls++ % answers.length]?.() as Authentication);
  await clock.advance(10_000);
  expect(calls).toBeGreaterThan(5);
  expect(events).toEqual([]);
  expect(response.headers["content-type"]).toBe("text/event-stream");
});

test.each<readonly [string, Authentication]>([
  ["is refused", { kind: "refused", response: problemResponse("invalid_key") }],
  ["may use other devices", { kind: "authenticated", principal: { ...principal, deviceIds: ["device-b"] } }],
  ["has other scopes", { kind: "authenticated", principal: { ...principal, scopes: new Set(["read"] as const) } }],
])("a stream ends within a second after its credential %s", async (_why, authentication) => {
  let hasChanged = false;
  const { clock, events } = await setUp(() => (hasChanged ? authentication : { kind: "authenticated", principal }));
  await clock.advance(5_000);
  hasChanged = true;
  await clock.advance(1_000);
  expect(reasonsOf(events)).toEqual(["credential_ended"]);
  expect(events[0]).toMatchObject({ requestId: "req-1", keyId: "key-1", durationMs: 6_000 });
});

test("when the process stops, streams end and new ones are refused", async () => {
  const { clock, events, streams, request, hasBeenEnded } = await setUp(() => ({ kind: "authenticated", principal }));
  streams.end();
  await clock.advance(0);
  expect(hasBeenEnded()).toBe(true);
  expect(reasonsOf(events)).toEqual(["shutdown"]);
  expect((await streams.open(request)).status).toBe(503);
});
