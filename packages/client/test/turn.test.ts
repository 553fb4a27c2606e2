import type { MessageStatus } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createClient, readTurn } from "../src/index.ts";
import {
  createFakeServer,
  exampleEnvironment,
  respondWithJson,
  respondWithProblem,
  scriptFetch,
} from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";
import { installClock, installRandom } from "./install-clock.ts";

function setUp(...responses: readonly (() => Response | Error)[]) {
  const clock = createVirtualClock();
  installClock(clock);
  installRandom(0.5);
  const script = scriptFetch(...responses);
  const { environments } = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch: script.fetch });
  return { clock, script, environments };
}

const status = (members: Partial<MessageStatus>): MessageStatus => ({
  ...{ clientMessageId: "m 1", deviceId: "d-1", agentId: "a", conversationId: "default", state: "running" },
  ...members,
});
const found = () =>
  respondWithJson(200, exampleEnvironment({ deviceId: "d-1", connectionId: "c-1", lastHeartbeat: Date.now() }))();
const body = { agentId: "a", messages: [{ role: "user" as const, content: "hi", client_message_id: "m 1" }] };
const accepted = { success: true, message: "ok", disposition: "started" };

test.each([
  [{ state: "finished", stopReason: "end_turn" }, "finished"],
  [{ state: "finished" }, "finished"],
  [{ state: "finished", stopReason: "end_turn", error: "x" }, "failed"],
  [{ state: "finished", stopReason: "llm_api_error" }, "failed"],
  [{ state: "failed" }, "failed"],
  [{ state: "cancelled" }, "cancelled"],
  [{ state: "evicted" }, "evicted"],
  [{ state: "unknown" }, "unknown"],
  [{ state: "waiting_for_approval" }, "unfinished"],
  [{ state: "a newer state" }, "unfinished"],
])("the status %j is read as %s", (members, outcome) => {
  expect(readTurn(status(members)).outcome).toBe(outcome);
});

test("messages.retrieve percent-encodes the id, and passes the conversation", async () => {
  const { environments, script } = setUp(respondWithJson(200, status({})));
  expect(await environments.messages.retrieve("c-1", "m/1 ü", { agentId: "a b" })).toEqual(status({}));
  expect(script.seen[0]?.url).toBe("http://127.0.0.1:1/v1/environments/c-1/messages/m%2F1%20%C3%BC?agentId=a+b");
  for (const id of ["", ".", "..", "x".repeat(257)])
    expect(await catchError(environments.messages.retrieve("c-1", id))).toMatchObject({ code: "invalid_argument" });
  expect(script.seen).toHaveLength(1);
});

test.each([
  [{ waitSeconds: 60 }, {}, "40"],
  [{ waitSeconds: 60 }, { timeoutMs: 90_000 }, "60"],
  [{ waitSeconds: 10 }, {}, "10"],
  [{}, {}, "30"],
  [{}, { timeoutMs: 9_000 }, "6"],
  [{ waitSeconds: 5 }, { timeoutMs: 1_000 }, "0"],
])(
  "messages.retrieve with %j and the options %j waits for %s seconds, within its time limit",
  async (wait, options, seconds) => {
    const { environments, script } = setUp(respondWithJson(200, status({})));
    await environments.messages.retrieve("c-1", "m 1", { wait: "finished", ...wait }, options);
    const { searchParams } = new URL(script.seen[0]?.url ?? "");
    expect([searchParams.get("wait"), searchParams.get("waitSeconds")]).toEqual(["finished", seconds]);
  },
);

test("sendToDevice waits for the end of the turn: the send prefers to wait, and then the status is awaited", async () => {
  const ended = status({ state: "finished", stopReason: "end_turn", text: "pong", waitSeconds: 20 });
  const { clock, environments, script } = setUp(
    found,
    respondWithJson(200, { ...accepted, outcome: status({ state: "running" }) }),
    respondWithJson(200, status({ state: "waiting_for_approval", waitSeconds: 20 })),
    respondWithJson(200, ended),
  );
  const sending = environments.sendToDevice("d-1", body, { wait: "finished", idempotencyKey: "k-1" });
  await clock.advance(60_000);
  const { turn, outcome, environment } = await sending;
  expect({ turn, outcome, deviceId: environment.deviceId }).toEqual({
    turn: { outcome: "finished", reply: "pong", status: ended },
    outcome: "started",
    deviceId: "d-1",
  });
  const [, send, first, second] = script.seen;
  expect(new Headers(send?.init.headers).get("prefer")).toBe("wait=20");
  const query = "?agentId=a&conversationId=default&wait=finished&waitSeconds=20";
  expect([first?.url, second?.url]).toEqual(
    Array(2).fill(`http://127.0.0.1:1/v1/environments/c-1/messages/m%201${query}`),
  );
});

test("a turn that ended during the send needs no further request; without wait nothing is preferred", async () => {
  const ended = status({ state: "finished", stopReason: "error", error: "no model" });
  const { environments, script } = setUp(
    found,
    respondWithJson(200, { ...accepted, outcome: ended }),
    found,
    respondWithJson(200, accepted),
  );
  const { turn } = await environments.sendToDevice("d-1", body, { wait: "finished" });
  expect(turn).toEqual({ outcome: "failed", reply: null, status: ended });
  const plain = await environments.sendToDevice("d-1", body);
  expect(plain).not.toHaveProperty("turn");
  expect(new Headers(script.seen[3]?.init.headers).has("prefer")).toBe(false);
});

test("a turn that does not end in time, or whose end is unknown, is an outcome", async () => {
  const { environments, clock, script } = setUp(
    found,
    respondWithJson(200, accepted),
    respondWithJson(200, status({ state: "running", waitSeconds: 3 })),
  );
  const sending = environments.sendToDevice("d-1", body, { wait: "finished", waitUntilFinishedMs: 3_000 });
  await clock.advance(5_000);
  expect((await sending).turn.outcome).toBe("unfinished");
  expect(script.seen.at(-1)?.url).toContain("waitSeconds=1");
  // A gateway in front of another server does not hear its devices, and does not wait.
  const deaf = setUp(respondWithJson(200, status({ state: "unknown", waitSeconds: 0 })));
  expect(await deaf.environments.messages.wait("c-1", "m 1")).toMatchObject({ outcome: "unknown", reply: null });
  expect(deaf.script.seen).toHaveLength(1);
});

test("transient failures are repeated while a turn is awaited, and a server that responds immediately is not flooded", async () => {
  const running = respondWithJson(200, status({ state: "running", waitSeconds: 20 }));
  const { environments, clock, script } = setUp(
    running,
    respondWithProblem("shutting_down"),
    respondWithProblem("shutting_down"),
    respondWithProblem("shutting_down"),
    running,
    respondWithJson(200, status({ state: "cancelled" })),
  );
  const waiting = environments.messages.wait("c-1", "m 1");
  await clock.advance(900);
  expect(script.seen).toHaveLength(1);
  await clock.advance(60_000);
  expect((await waiting).outcome).toBe("cancelled");
  expect(clock.timerCount).toBe(0);
});

test("the error says that the message was sent, and what is missing, when the turn cannot be followed", async () => {
  const server = createFakeServer({ extensions: false });
  server.connect("d-1");
  const { environments } = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch: server.fetch });
  const error = await catchError(environments.sendToDevice("d-1", body, { wait: "finished" }));
  expect(error).toMatchObject({ code: "endpoint_not_found", outcome: "unknown", clientMessageIds: ["m 1"] });
  expect(error.message).toMatch(
    /^the message was sent, but its turn cannot be followed: the server does not offer retrieveMessage/,
  );
  expect(server.taken).toHaveLength(1);
});

test("waiting ends with the caller's signal; a body with only decisions and invalid values of wait are refused before any request", async () => {
  const controller = new AbortController();
  const { environments, clock, script } = setUp(
    found,
    respondWithJson(200, accepted),
    respondWithJson(200, status({ state: "running" })),
  );
  const options = { wait: "finished", signal: controller.signal } as const;
  const failure = catchError(environments.sendToDevice("d-1", body, options));
  await clock.advance(100);
  controller.abort();
  expect(await failure).toMatchObject({ code: "aborted", outcome: "unknown", clientMessageIds: ["m 1"] });
  const count = script.seen.length;
  const decision = { type: "approval", approve: true, tool_call_id: "t" } as const;
  const approvals = { agentId: "a", messages: [{ type: "approval" as const, approvals: [decision] }] };
  for (const [sent, given] of [
    [approvals, { wait: "finished" }],
    [body, { wait: "started" }],
    [body, { wait: "finished", waitUntilFinishedMs: -1 }],
  ] as const)
    expect(await catchError(environments.sendToDevice("d-1", sent, given as typeof options))).toMatchObject({
      code: "invalid_argument",
    });
  expect(script.seen).toHaveLength(count);
});

test.each([1_000, 2_999])(
  "short waits of at most %i ms per request do not end the wait: the status is read until the turn ends",
  async (timeoutMs) => {
    const running = respondWithJson(200, status({ state: "running" }));
    const ended = respondWithJson(200, status({ state: "finished", stopReason: "end_turn", text: "pong" }));
    const { clock, environments, script } = setUp(running, respondWithProblem("shutting_down"), running, ended);
    const waiting = environments.messages.wait("c-1", "m 1", undefined, { timeoutMs, maxRetries: 0 });
    await clock.advance(30_000);
    expect(await waiting).toMatchObject({ outcome: "finished", reply: "pong" });
    expect(script.seen.map(({ url }) => url.includes("wait"))).toEqual([false, false, false, false]);

    const sent = setUp(found, respondWithJson(200, accepted), running, ended);
    const sending = sent.environments.sendToDevice("d-1", body, { wait: "finished", timeoutMs });
    await sent.clock.advance(30_000);
    expect((await sending).turn.outcome).toBe("finished");
    expect(new Headers(sent.script.seen[1]?.init.headers).has("prefer")).toBe(false);
  },
);

test("short requests are repeated once a second, and no longer than waitUntilFinishedMs", async () => {
  const { clock, environments, script } = setUp(...Array(9).fill(respondWithJson(200, status({ state: "running" }))));
  const options = { timeoutMs: 1_000, waitUntilFinishedMs: 3_500 };
  const waiting = environments.messages.wait("c-1", "m 1", undefined, options);
  await clock.advance(3_500);
  expect((await waiting).outcome).toBe("unfinished");
  expect(script.seen).toHaveLength(4);
  expect(clock.timerCount).toBe(0);
});

test("a failure after the time limit is thrown", async () => {
  const { environments, script } = setUp(respondWithProblem("shutting_down"));
  const options = { waitUntilFinishedMs: 0, maxRetries: 0 };
  const error = await catchError(environments.messages.wait("c-1", "m 1", undefined, options));
  expect(error).toMatchObject({ code: "shutting_down" });
  expect(script.seen).toHaveLength(1);
});

test("a transient failure at the end of the wait does not hide the last known status", async () => {
  const running = respondWithJson(200, status({ state: "running" }));
  const { clock, environments, script } = setUp(running, respondWithProblem("shutting_down"));
  const options = { waitUntilFinishedMs: 1_500, maxRetries: 0 };
  const waiting = environments.messages.wait("c-1", "m 1", undefined, options);
  await clock.advance(1_500);
  expect((await waiting).outcome).toBe("unfinished");
  expect(script.seen).toHaveLength(2);
});

test("a failure after a response is repeated as soon as the first one was", async () => {
  const failed = respondWithProblem("shutting_down");
  const running = respondWithJson(200, status({ state: "running" }));
  const finished = respondWithJson(200, status({ state: "finished" }));
  const { clock, environments, script } = setUp(failed, running, failed, finished);
  const waiting = environments.messages.wait("c-1", "m 1", undefined, { maxRetries: 0 });
  // After each failure the second that it asks for and half of two, and one second after the response.
  await clock.advance(5_000);
  expect(script.seen).toHaveLength(4);
  expect((await waiting).outcome).toBe("finished");
});

test("a wall clock that is set back does not prolong the wait", async () => {
  const { clock, environments } = setUp(...Array(20).fill(respondWithJson(200, status({ state: "running" }))));
  const options = { timeoutMs: 1_000, waitUntilFinishedMs: 5_000 };
  const waiting = environments.messages.wait("c-1", "m 1", undefined, options);
  await clock.advance(1_500);
  clock.shiftWallTime(-3_600_000);
  await clock.advance(3_500);
  expect((await waiting).outcome).toBe("unfinished");
  expect(clock.timerCount).toBe(0);
});

test("a message that the device refused is a refusal, and its turn is not awaited", async () => {
  const { environments, script } = setUp(found, respondWithJson(200, { success: false, message: "busy elsewhere" }));
  const error = await catchError(environments.sendToDevice("d-1", body, { wait: "finished" }));
  expect(error).toMatchObject({
    ...{ code: "input_rejected", outcome: "refused", retryable: false, clientMessageIds: ["m 1"] },
    message: expect.stringContaining("busy elsewhere"),
  });
  expect(script.seen).toHaveLength(2);
});

test("the client's own timeoutMs applies to each request of a wait", async () => {
  const clock = createVirtualClock();
  installClock(clock);
  const sent: string[] = [];
  const script = scriptFetch(found, respondWithJson(200, accepted));
  const fetch: typeof script.fetch = (url, init) => {
    sent.push(new Headers(init.headers).get("prefer") ?? new URL(url).search);
    return sent.length <= 2 ? script.fetch(url, init) : new Promise(() => undefined);
  };
  const options = { baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch, timeoutMs: 6_000, maxRetries: 0 };
  const { environments } = createClient(options);
  const failure = catchError(environments.sendToDevice("d-1", body, { wait: "finished", waitUntilFinishedMs: 5_000 }));
  await clock.advance(5_999);
  const query = "?agentId=a&conversationId=default&wait=finished&waitSeconds=2";
  expect(sent).toEqual(["", "wait=2", query]);
  await clock.advance(1);
  expect(await failure).toMatchObject({ code: "timeout", message: expect.stringContaining("within 6000 ms") });
});

test("a Retry-After beyond the end of a wait ends it immediately, with the last known status or the error", async () => {
  const busy = respondWithProblem("overloaded", { headers: { "retry-after": "120" } });
  const options = { waitUntilFinishedMs: 10_000, maxRetries: 0 };
  const without = setUp(busy);
  const error = await catchError(without.environments.messages.wait("c-1", "m 1", undefined, options));
  expect(error).toMatchObject({ code: "overloaded", retryAfterMs: 120_000 });
  const { clock, environments, script } = setUp(respondWithJson(200, status({ state: "running" })), busy);
  const waiting = environments.messages.wait("c-1", "m 1", undefined, options);
  await clock.advance(1_000);
  expect((await waiting).outcome).toBe("unfinished");
  expect([script.seen.length, clock.timerCount]).toEqual([2, 0]);
});

test("Retry-After counts from the response that has it", async () => {
  installRandom(0);
  const clock = createVirtualClock();
  installClock(clock);
  const startedAtMs = clock.now();
  const times: number[] = [];
  const fetch = async (): Promise<Response> => {
    times.push(clock.now() - startedAtMs);
    await new Promise<void>((resolve) => void setTimeout(resolve, 4_000));
    return respondWithProblem("overloaded", { headers: { "retry-after": "5" } })();
  };
  const { environments } = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch });
  const options = { waitUntilFinishedMs: 12_000, maxRetries: 0 };
  const failure = catchError(environments.messages.wait("c-1", "m 1", undefined, options));
  await clock.advance(20_000);
  expect((await failure).code).toBe("overloaded");
  expect(times).toEqual([0, 9_000]);
});
