import type { EventStream, StreamEnd } from "@letta-environments/environment-server";
import { problemResponse, refused } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import type { Authentication, GatewayPrincipal } from "../auth/authentication.ts";
import { createCheckCredential } from "../reauthentication.ts";
import { createExpiryCheck } from "../keys/credential-expiry.ts";
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

async function setUp(authenticated: () => Authentication | Promise<Authentication>, opener = principal) {
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
  const check = createCheckCredential(authenticated, createExpiryCheck(clock));
  const request = { query: {}, lastEventId: null, requestId: "req-1", principal: opener, authorization: "Bearer x" };
  const response = await streams.open(request, check);
  return { clock, events, streams, request, check, response, hasBeenEnded: () => hasBeenEnded };
}

const reasonsOf = (events: readonly ProxyEvent[]): unknown[] =>
  events.map((event) => (event.type === "stream_ended" ? event.reason : event.type));

test("a stream stays open while its credential has the same permissions, and while the key store fails", async () => {
  const results: (() => Authentication)[] = [
    () => ({ kind: "authenticated", principal: { ...principal, scopes: new Set(["list"] as const) } }),
    () => refused(problemResponse("key_store_unavailable")),
    () => {
      throw new Error("the key store does not respond");
    },
  ];
  let calls = 0;
  const { clock, events, response } = await setUp(() => results[calls++ % results.length]?.() as Authentication);
  await clock.advance(10_000);
  expect(calls).toBeGreaterThan(5);
  expect(events).toEqual([]);
  expect(response.headers["content-type"]).toBe("text/event-stream");
});

test.each<readonly [string, Authentication]>([
  ["is refused", refused(problemResponse("invalid_key"))],
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

const outages: readonly (readonly [string, () => Authentication])[] = [
  ["the key store fails", () => refused(problemResponse("key_store_unavailable"))],
  [
    "the key store rejects",
    () => {
      throw new Error("the key store does not respond");
    },
  ],
  ["the issuer of its token fails", () => refused(problemResponse("issuer_unavailable"))],
];

test.each(outages)("a stream ends within a second after its credential expires, even while %s", async (_why, fail) => {
  for (const expiry of ["keyExpiresAt", "credentialExpiresAt"]) {
    const expiresAt = createVirtualClock().now() + 100_000;
    const { clock, events } = await setUp(fail, { ...principal, [expiry]: expiresAt });
    await clock.advance(99_999);
    expect(events).toEqual([]);
    await clock.advance(1_000);
    expect(reasonsOf(events)).toEqual(["credential_ended"]);
  }
});

test("a key that expires later than before keeps its stream, and the later expiry counts in an outage", async () => {
  const startMs = createVirtualClock().now();
  const extended: Authentication = {
    kind: "authenticated",
    principal: { ...principal, keyExpiresAt: startMs + 200_000 },
  };
  let isDown = false;
  const { clock, events } = await setUp(() => (isDown ? refused(problemResponse("key_store_unavailable")) : extended), {
    ...principal,
    keyExpiresAt: startMs + 100_000,
  });
  await clock.advance(50_000);
  isDown = true;
  await clock.advance(149_000);
  expect(events).toEqual([]);
  await clock.advance(2_000);
  expect(reasonsOf(events)).toEqual(["credential_ended"]);
});

test("while the key store hangs, streams are checked independently of each other", async () => {
  const hanging: Authentication = refused(problemResponse("key_store_unavailable"));
  const { clock, events, streams, request, check } = await setUp(
    () => new Promise((resolve) => clock.setTimer(2_000, () => resolve(hanging))),
    { ...principal, keyExpiresAt: createVirtualClock().now() + 10_000 },
  );
  await streams.open({ ...request, requestId: "req-2" }, check);
  await clock.advance(13_000);
  expect(reasonsOf(events)).toEqual(["credential_ended", "credential_ended"]);
});

test("when the process stops, streams end and new ones are refused", async () => {
  const { clock, events, streams, request, check, hasBeenEnded } = await setUp(() => ({
    kind: "authenticated",
    principal,
  }));
  streams.end();
  await clock.advance(0);
  expect(hasBeenEnded()).toBe(true);
  expect(reasonsOf(events)).toEqual(["shutdown"]);
  expect((await streams.open(request, check)).status).toBe(503);
});
