/** In front of a remote upstream, a send whose outcome is not known is never repeated, and one of which nothing was delivered can be. */
import { jsonResponse, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { describe, expect, test, vi } from "vitest";
import { failingStore } from "./support/failing-store.ts";
import { createMemoryIdempotencyStore } from "../src/adapters/memory/idempotency-store.ts";
import {
  accepted,
  approval,
  createSendWorld,
  deferred,
  type SendWorld,
  summarise,
  unreachable,
  user,
} from "./support/send-world.ts";
import { bodyOf, problemOf } from "./support/test-proxy.ts";

/** A send and its repeat after the upstream has recovered. */
async function sendTwice(
  first: Awaited<ReturnType<SendWorld["upstream"]>>,
): Promise<{ readonly responses: readonly PlainResponse[]; readonly deliveries: number }> {
  const world = await createSendWorld();
  world.upstream = () => Promise.resolve(first);
  const responses = [await world.send()];
  world.upstream = () => Promise.resolve(accepted);
  responses.push(await world.send());
  return { responses, deliveries: world.delivered().length };
}

const foreign = (status: number): PlainResponse =>
  jsonResponse(status, { message: "no" }, { "retry-after": "5", "x-should-retry": "true" });

describe("sends that may have been delivered", () => {
  test.each([
    ["a broken connection", { reason: "broken", cause: null }, "504 delivery_unknown"],
    ["a response that is too large", { reason: "too_large", cause: null }, "502 upstream_response_too_large"],
    ["a 429 of another server", foreign(429), "429 upstream_error"],
    ["a 503 of another server", foreign(503), "503 upstream_error"],
    ["a 500", foreign(500), "500 upstream_error"],
    ["a 408", foreign(408), "502 upstream_error"],
    ["a 409 of another server", foreign(409), "409 upstream_error"],
    ["a 201", jsonResponse(201, { success: true, message: "ok" }), "502 upstream_invalid_response"],
    ["a success of another product", jsonResponse(200, { foo: 1 }), "502 upstream_invalid_response"],
    ["a success that is a text", jsonResponse(200, { success: "yes", message: "ok" }), "502 upstream_invalid_response"],
  ] as const)("a repeat is not delivered after %s", async (_what, end, expected) => {
    const { responses, deliveries } = await sendTwice(end);
    expect(responses.map(summarise)).toEqual([expected, `${expected} replayed`]);
    for (const response of responses) {
      expect(response.headers["x-should-retry"]).toBe("false");
      expect(response.headers).not.toHaveProperty("retry-after");
      expect(problemOf(response).delivery).toBe("unknown");
      expect(problemOf(response).message).toMatch(/may have been delivered|may be running/);
    }
    expect(deliveries).toBe(1);
  });

  test("a repeat is not delivered after the deadline", async () => {
    const world = await createSendWorld();
    world.upstream = () => new Promise(() => undefined);
    const first = world.send();
    await world.clock.advance(30_000);
    expect([summarise(await first), summarise(await world.send())]).toEqual([
      "504 delivery_unknown",
      "504 delivery_unknown replayed",
    ]);
    expect(world.delivered()).toHaveLength(1);
  });
});

describe("sends that delivered nothing", () => {
  test.each([
    ["a connection that was refused", { reason: "unreachable", cause: null }, "502 upstream_unreachable", "true"],
    ["a 400", jsonResponse(400, { message: "no" }), "400 upstream_error", "false"],
    ["a 422", jsonResponse(422, { message: "no" }), "422 upstream_error", "false"],
    ["a device that is offline", problemResponse("device_offline"), "409 device_offline", "false"],
    ["a full queue", problemResponse("queue_full"), "429 queue_full", "false"],
    ["a gateway that shuts down", problemResponse("shutting_down"), "503 shutting_down", "true"],
    ["a refused credential", jsonResponse(401, { message: "no" }), "502 upstream_credential_rejected", "false"],
  ] as const)("a repeat is sent after %s", async (_what, end, expected, retryable) => {
    const { responses, deliveries } = await sendTwice(end);
    expect(responses.map(summarise)).toEqual([expected, "200"]);
    expect(responses[0]?.headers["x-should-retry"]).toBe(retryable);
    expect(responses[0] && problemOf(responses[0]).delivery).toBe("none");
    expect(deliveries).toBe(2);
  });

  test("a 429 of the gateway keeps its Retry-After", async () => {
    const { responses } = await sendTwice(problemResponse("rate_limited", { headers: { "retry-after": "7" } }));
    expect(responses[0]?.headers).toMatchObject({ "x-should-retry": "true", "retry-after": "7" });
  });

  test("a send that the audit log refuses is not sent, and can be repeated", async () => {
    const world = await createSendWorld();
    world.refusedEntries.add("send_started");
    expect(summarise(await world.send())).toBe("503 audit_unavailable");
    world.refusedEntries.clear();
    expect(summarise(await world.send())).toBe("200");
    expect(world.delivered()).toHaveLength(1);
  });
});

test("a caller learns what was delivered of a body, and only the upstream, which recognises these parts, is sent the body again", async () => {
  const world = await createSendWorld();
  const parts = { count: 2, delivered: 1, errorCode: "approval_not_found" };
  const detail = "1 of 2 parts of the body were delivered.";
  const headers = { "x-message-deduplication": "86400" };
  world.upstream = () => Promise.resolve(problemResponse("input_rejected", { detail, headers, members: { parts } }));
  const messages = [user("m"), approval({ approve: true, tool_call_id: "call-1" })];
  const response = await world.send({ messages });
  expect(problemOf(response)).toMatchObject({ errorCode: "input_rejected", parts, detail, delivery: "unknown" });
  expect(response.headers["x-should-retry"]).toBe("false");
  world.upstream = () => Promise.resolve(accepted);
  expect(summarise(await world.send({ messages }))).toBe("200");
});

describe("callers who disconnect", () => {
  test("a caller who disconnects does not end a send in progress: its result is stored, and the audit log has its outcome", async () => {
    const world = await createSendWorld();
    const answer = deferred<PlainResponse>();
    let signal: AbortSignal | undefined;
    world.upstream = (given) => {
      signal = given;
      return answer.promise;
    };
    const caller = new AbortController();
    const first = world.send({ signal: caller.signal });
    await world.clock.advance(0);
    caller.abort();
    await world.clock.advance(5_000);
    expect(signal?.aborted).toBe(false);
    answer.resolve(accepted);
    await first;
    expect(summarise(await world.send())).toBe("200 replayed");
    expect(world.entries.slice(0, 2)).toMatchObject([{ type: "send_started" }, { type: "send_finished", status: 200 }]);
    expect(world.delivered()).toHaveLength(1);
  });

  test("a caller who disconnects before delivery ends the send, and it can be repeated", async () => {
    const started = deferred<null>();
    const audit = { append: () => started.promise.then(() => undefined) };
    const world = await createSendWorld({ ports: { audit } });
    const caller = new AbortController();
    const first = world.send({ signal: caller.signal });
    await world.clock.advance(0);
    caller.abort();
    started.resolve(null);
    expect((await first).status).toBe(499);
    expect(world.delivered()).toEqual([]);
    expect(summarise(await world.send())).toBe("200");
  });

  test("after a caller disconnects, the runtime keeps the whole request alive", async () => {
    const background: Promise<unknown>[] = [];
    const world = await createSendWorld({ ports: { background: (work) => void background.push(work) } });
    await world.send();
    expect(await Promise.all(background)).toMatchObject([{ status: 200 }]);
  });
});

describe("failures of the store of sends", () => {
  async function setUp() {
    const { clock } = await createSendWorld();
    const idempotencyStore = failingStore(createMemoryIdempotencyStore(clock));
    const world = await createSendWorld({ remote: { idempotencyStore }, ports: { clock } });
    return { world, clock, failing: idempotencyStore.failing };
  }

  test("a store that fails means that nothing is sent, and that the send can be repeated", async () => {
    const { world, clock, failing } = await setUp();
    failing.add("reserve");
    const response = await world.send();
    expect(summarise(response)).toBe("503 idempotency_unavailable");
    expect(response.headers).toMatchObject({ "x-should-retry": "true", "retry-after": "1" });
    expect(world.delivered()).toEqual([]);
    expect(world.events).toMatchObject([{ type: "idempotency_failed", operation: "reserve" }, { status: 503 }]);
    failing.clear();
    await clock.advance(1_000);
    expect(summarise(await world.send())).toBe("200");
  });

  test("a store that fails after the delivery does not affect the caller's response, and the result is stored when the store recovers", async () => {
    const { world, clock, failing } = await setUp();
    failing.add("settle");
    expect(summarise(await world.send())).toBe("200");
    const repeat = world.send();
    await clock.advance(2_000);
    failing.clear();
    await clock.advance(2_000);
    expect(summarise(await repeat)).toBe("200 replayed");
    expect(world.delivered()).toHaveLength(1);
  });

  test("a store that fails until the lease has ended leaves the outcome unknown until the store recovers, and the message is never sent again", async () => {
    const { world, clock, failing } = await setUp();
    failing.add("settle");
    expect(summarise(await world.send())).toBe("200");
    await clock.advance(60_000);
    const repeat = await world.send();
    expect([summarise(repeat), problemOf(repeat).delivery]).toEqual(["504 delivery_unknown replayed", "unknown"]);
    failing.clear();
    await clock.advance(30_000);
    expect(summarise(await world.send())).toBe("200 replayed");
    expect(world.delivered()).toHaveLength(1);
  });

  test("a store that fails for longer than ten minutes leaves the outcome unknown", async () => {
    const { world, clock, failing } = await setUp();
    failing.add("settle");
    expect(summarise(await world.send())).toBe("200");
    await clock.advance(700_000);
    failing.clear();
    await clock.advance(60_000);
    expect(summarise(await world.send())).toBe("504 delivery_unknown replayed");
    expect(world.delivered()).toHaveLength(1);
  });

  test.each([13_000, 60_000])(
    "a store that fails, but completes a reservation %i ms later, does not prevent the message from being sent",
    async (lateMs) => {
      const { clock } = await createSendWorld();
      const store = createMemoryIdempotencyStore(clock);
      let isHanging = true;
      const late: (() => Promise<unknown>)[] = [];
      const hangs = (): Promise<never> => Promise.reject(new Error("no response"));
      const world = await createSendWorld({
        ports: { clock },
        remote: {
          idempotencyStore: {
            ...store,
            reserve(reservation) {
              if (!isHanging) return store.reserve(reservation);
              late.push(() => store.reserve(reservation));
              return hangs();
            },
            release: (reservation) => (isHanging ? hangs() : store.release(reservation)),
          },
        },
      });
      expect(summarise(await world.send())).toBe("503 idempotency_unavailable");
      await clock.advance(lateMs);
      isHanging = false;
      // The store runs what it has received in any order: it refuses a reservation whose release came before.
      await clock.advance(30_000);
      await Promise.allSettled(late.map((run) => run()));
      expect(summarise(await world.send())).toBe("200");
      expect(summarise(await world.send())).toBe("200 replayed");
      expect(world.delivered()).toHaveLength(1);
    },
  );

  test("a store that fails for longer than the lease of a send that was not delivered does not make its outcome unknown", async () => {
    const { world, clock, failing } = await setUp();
    world.upstream = () => Promise.resolve(unreachable);
    failing.add("release");
    expect(summarise(await world.send())).toBe("502 upstream_unreachable");
    await clock.advance(60_000);
    world.upstream = () => Promise.resolve(accepted);
    expect(summarise(await world.send())).toBe("503 idempotency_unavailable");
    failing.clear();
    expect(summarise(await world.send())).toBe("200");
    // The first attempt did not reach the upstream.
    expect(world.delivered()).toHaveLength(2);
  });

  test("a store that recovers releases the ids of a send that was not delivered, so that other gateways can send it", async () => {
    const { clock } = await createSendWorld();
    const shared = createMemoryIdempotencyStore(clock);
    const failingOnce = failingStore(shared);
    const one = await createSendWorld({ remote: { idempotencyStore: failingOnce }, ports: { clock } });
    const other = await createSendWorld({ remote: { idempotencyStore: shared }, ports: { clock } });
    one.upstream = () => Promise.resolve(unreachable);
    failingOnce.failing.add("release");
    expect(summarise(await one.send())).toBe("502 upstream_unreachable");
    await clock.advance(120_000);
    failingOnce.failing.clear();
    await clock.advance(30_000);
    expect(summarise(await other.send())).toBe("200");
  });

  test("a store that fails while a repeat waits ends the wait with 503", async () => {
    const { world, clock, failing } = await setUp();
    world.upstream = () => new Promise(() => undefined);
    void world.send();
    await clock.advance(0);
    failing.add("find");
    const repeat = world.send();
    await clock.advance(100);
    expect(summarise(await repeat)).toBe("503 idempotency_unavailable");
  });

  test.each([
    ["whose device has another connection by now", 404],
    ["whose list cannot be read", 503],
  ])("a failing store is not reported as a missing connection to a repeat %s", async (_what, status) => {
    const { world, clock, failing } = await setUp();
    expect(summarise(await world.send())).toBe("200");
    await clock.advance(10_000);
    if (status === 404) world.rows = [];
    else world.reads = problemResponse("overloaded");
    failing.add("findConnection");
    const sent = world.send();
    // Reads of the upstream are repeated after a pause.
    await clock.advance(10_000);
    const repeat = await sent;
    expect(summarise(repeat)).toBe("503 idempotency_unavailable");
    expect(repeat.headers["x-should-retry"]).toBe("true");
    failing.clear();
    world.reads = null;
    expect(summarise(await world.send())).toBe("200 replayed");
    expect(world.delivered()).toHaveLength(1);
  });

  test("a failing store does not turn a repeat without a connection into a new send", async () => {
    const { world, clock, failing } = await setUp();
    expect(summarise(await world.send())).toBe("200");
    await clock.advance(10_000);
    world.rows = [];
    failing.add("find");
    expect(summarise(await world.send())).toBe("503 idempotency_unavailable");
    failing.clear();
    expect(summarise(await world.send())).toBe("200 replayed");
  });

  test("a store that is full refuses new sends and still replays earlier ones", async () => {
    const { clock } = await createSendWorld();
    const idempotencyStore = createMemoryIdempotencyStore(clock, { maxIds: 1 });
    const world = await createSendWorld({ remote: { idempotencyStore }, ports: { clock } });
    expect(summarise(await world.send())).toBe("200");
    const other = { role: "user", content: "y", client_message_id: "n" };
    expect(summarise(await world.send({ messages: [other] }))).toBe("503 idempotency_unavailable");
    expect(summarise(await world.send())).toBe("200 replayed");
    expect(world.delivered()).toHaveLength(1);
  });
});

test("the result of a longer response is kept in a shorter form, and repeats receive its meaning", async () => {
  const world = await createSendWorld();
  const message = "m".repeat(5_000);
  world.upstream = () => Promise.resolve(jsonResponse(200, { success: true, message, more: "x".repeat(20_000) }));
  expect(bodyOf(await world.send())).toHaveProperty("more");
  expect(bodyOf(await world.send())).toEqual({ success: true, message: message.slice(0, 4_096) });
});

test("a send gets its response once its result is stored, so a stop of the gateway right after it does not lose the result", async () => {
  const { clock } = await createSendWorld();
  const store = createMemoryIdempotencyStore(clock);
  const held = deferred<undefined>();
  const settle: typeof store.settle = (...result) => held.promise.then(() => store.settle(...result));
  const world = await createSendWorld({ remote: { idempotencyStore: { ...store, settle } }, ports: { clock } });
  const order: string[] = [];
  const answered = world.send().then(() => order.push("answered"));
  await vi.waitFor(() => expect(world.entries.at(-1)?.type).toBe("send_finished"));
  await clock.advance(0);
  order.push("stored");
  held.resolve(undefined);
  await answered;
  expect(order).toEqual(["stored", "answered"]);
});
