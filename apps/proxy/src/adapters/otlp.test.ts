import { createOtlpCollector, createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { createOtlpPush, maxEndMs, maxPushAgeMs, maxQueuedItems, type OtlpEvent } from "./otlp.ts";

/** The timeout of a push. Other timers are pauses, or the limit of a stop. */
const timeoutMs = 10_000;

/** The longest timer that a runtime keeps. A longer one runs at once. */
const maxTimerMs = 2 ** 31 - 1;

async function setUp() {
  const collector = await createOtlpCollector();
  onTestFinished(collector.close);
  return { collector, ...startPushes(collector.url, fetch), ...observe(collector) };
}

function observe({ pushes }: Awaited<ReturnType<typeof createOtlpCollector>>) {
  return {
    bodies: (): readonly unknown[] => pushes.map(({ body }) => body),
    received: (count: number) => vi.waitFor(() => expect(pushes).toHaveLength(count)),
  };
}

function startPushes(endpoint: string, fetchUrl: typeof fetch) {
  const clock = createVirtualClock();
  const events: OtlpEvent["type"][] = [];
  const causes: unknown[] = [];
  const drops: (readonly [signal: string, items: number, reason: string])[] = [];
  let pauses = 0;
  const receiver = createOtlpPush(
    { endpoint, headers: {} },
    {
      fetchUrl,
      clock: {
        ...clock,
        setTimer(delayMs, run) {
          if (delayMs !== timeoutMs) pauses += 1;
          return clock.setTimer(delayMs > maxTimerMs ? 1 : delayMs, run);
        },
      },
      random: () => 0,
      report(event) {
        events.push(event.type);
        if (event.type === "otlp_failed") causes.push(event.cause);
      },
      onDropped: (...drop) => void drops.push(drop),
    },
  );
  /** A push has failed and waits for its repeat. */
  async function paused(): Promise<void> {
    await vi.waitFor(() => expect(pauses).toBe(1));
    pauses = 0;
  }
  return { clock, events, causes, drops, receiver, paused };
}

const spans = (id: number, items = 1) => ["traces", { body: { id }, items }] as const;
const sums = (id: number) => ["metrics", { body: { id }, items: 5 }] as const;

test.each([429, 502, 503, 504])(
  "after %i the same push is sent again, in order, until it is accepted",
  async (status) => {
    const { collector, clock, events, drops, receiver, bodies, received, paused } = await setUp();
    collector.status = status;
    receiver.push(...spans(1));
    await paused();
    receiver.push(...spans(2));
    await clock.advance(500);
    await received(2);
    await paused();
    collector.status = 200;
    await clock.advance(1_000);
    await received(4);
    expect(bodies()).toEqual([{ id: 1 }, { id: 1 }, { id: 1 }, { id: 2 }]);
    expect([events, drops]).toEqual([["otlp_failed", "otlp_recovered"], []]);
  },
);

test("nothing is sent before Retry-After has passed, not even later data", async () => {
  const { collector, clock, receiver, bodies, received, paused } = await setUp();
  Object.assign(collector, { status: 503, headers: { "retry-after": "20" } });
  receiver.push(...spans(1));
  await paused();
  Object.assign(collector, { status: 200, headers: {} });
  receiver.push(...spans(2));
  await clock.advance(19_999);
  expect(bodies()).toEqual([{ id: 1 }]);
  await clock.advance(1);
  await received(3);
  expect(bodies()).toEqual([{ id: 1 }, { id: 1 }, { id: 2 }]);
});

test("a push that is refused is not sent again, and its items are counted as dropped", async () => {
  const { collector, clock, drops, events, receiver, bodies } = await setUp();
  collector.status = 400;
  receiver.push(...spans(1, 3));
  await vi.waitFor(() => expect(drops).toEqual([["traces", 3, "refused"]]));
  expect([clock.timerCount, bodies(), events]).toEqual([0, [{ id: 1 }], ["otlp_failed"]]);
});

test.each([301, 302, 307, 308])(
  "a push that the receiver redirects with %i is refused, and the log names the status",
  async (status) => {
    const { collector, drops, causes, receiver, bodies } = await setUp();
    Object.assign(collector, { status, headers: { location: `${collector.url}/elsewhere` } });
    receiver.push(...spans(1, 3));
    await vi.waitFor(() => expect(drops).toEqual([["traces", 3, "refused"]]));
    expect([bodies(), String(causes)]).toEqual([[{ id: 1 }], `Error: the receiver responded with ${status}`]);
  },
);

test("a push to which the receiver has not responded after ten seconds is sent again", async () => {
  const sent: unknown[] = [];
  const { clock, receiver, causes } = startPushes("http://receiver", (_url, init) => {
    sent.push(init?.body);
    return new Promise(() => undefined);
  });
  receiver.push(...spans(1));
  await clock.advance(timeoutMs + 499);
  expect([sent.length, String(causes)]).toEqual([1, "Error: the receiver did not respond in time"]);
  await clock.advance(1);
  expect(sent).toEqual(['{"id":1}', '{"id":1}']);
});

test("of a response without an end only a small part is read, and the push counts as delivered", async () => {
  let bytes = 0;
  let isCancelled = false;
  const endless = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        bytes += 16_384;
        // An end, so that a reader without a limit stops too.
        if (bytes > 10_000_000) controller.close();
        else controller.enqueue(new Uint8Array(16_384));
      },
      cancel: () => void (isCancelled = true),
    },
    { highWaterMark: 0 },
  );
  const responses = [new Response(endless), new Response("{}")];
  const { receiver, drops, events } = startPushes("http://receiver", async () => responses.shift() ?? Response.error());
  receiver.push(...spans(1));
  receiver.push(...spans(2));
  await vi.waitFor(() => expect(responses).toEqual([]));
  expect(bytes).toBeLessThan(100_000);
  expect([isCancelled, drops, events]).toEqual([true, [], []]);
});

/** Sends spans to a receiver whose responses begin, but whose bodies never end or break, and waits until the body is given up. */
async function pushToBrokenBodies(body: "endless" | "broken", init: ResponseInit) {
  const sent: unknown[] = [];
  const pushes = startPushes("http://receiver", async (_url, { body: text } = {}) => {
    sent.push(text);
    const pull = (): Promise<void> =>
      body === "broken" ? Promise.reject(new Error("reset")) : new Promise(() => undefined);
    return new Response(new ReadableStream({ pull }, { highWaterMark: 0 }), init);
  });
  pushes.receiver.push(...spans(1, 3));
  await pushes.clock.advance(body === "endless" ? timeoutMs : 0);
  return { ...pushes, sent };
}

describe.each(["endless", "broken"] as const)("a response with a body that is %s", (body) => {
  test("delivers a push if its status is 200: it is not sent again", async () => {
    const { clock, sent, drops, events } = await pushToBrokenBodies(body, { status: 200 });
    await clock.advance(maxPushAgeMs);
    expect([sent.length, drops, events]).toEqual([1, [], []]);
  });

  test("refuses a push for good if its status is 400", async () => {
    const { clock, sent, drops, causes } = await pushToBrokenBodies(body, { status: 400 });
    await clock.advance(maxPushAgeMs);
    expect([sent.length, drops]).toEqual([1, [["traces", 3, "refused"]]]);
    expect(String(causes)).toBe("Error: the receiver responded with 400");
  });

  test("asks for a pause with its Retry-After, and nothing is sent earlier", async () => {
    const { clock, sent } = await pushToBrokenBodies(body, { status: 503, headers: { "retry-after": "100" } });
    await clock.advance(99_999);
    expect(sent).toHaveLength(1);
    await clock.advance(1);
    expect(sent).toHaveLength(2);
  });
});

test("a Retry-After that is longer than the longest timer is obeyed", async () => {
  const { collector, clock, receiver, bodies, received, paused } = await setUp();
  Object.assign(collector, { status: 503, headers: { "retry-after": "9999999" } });
  receiver.push(...spans(1));
  await paused();
  Object.assign(collector, { status: 200, headers: {} });
  receiver.push(...spans(2));
  await clock.advance(9_999_999_000 - 1);
  expect(bodies()).toEqual([{ id: 1 }]);
  receiver.push(...spans(3));
  await clock.advance(1);
  await received(2);
  expect(bodies()).toEqual([{ id: 1 }, { id: 3 }]);
});

test("items that the receiver rejected are counted and not sent again", async () => {
  const { collector, drops, receiver, bodies } = await setUp();
  collector.body = '{"partialSuccess":{"rejectedSpans":"2"}}';
  receiver.push(...spans(1, 3));
  await vi.waitFor(() => expect(drops).toEqual([["traces", 2, "rejected"]]));
  expect(bodies()).toEqual([{ id: 1 }]);
});

test("the newest sums replace older ones in the queue, because sums are cumulative", async () => {
  const { collector, clock, drops, receiver, bodies, received, paused } = await setUp();
  collector.status = 503;
  receiver.push(...sums(1));
  await paused();
  receiver.push(...sums(2));
  receiver.push(...sums(3));
  collector.status = 200;
  await clock.advance(500);
  await received(2);
  expect([bodies(), drops]).toEqual([[{ id: 1 }, { id: 3 }], []]);
});

test("the queue of spans is bounded: spans that do not fit are dropped and counted", async () => {
  const { collector, drops, receiver, paused } = await setUp();
  collector.status = 503;
  receiver.push(...spans(1, maxQueuedItems - 10));
  await paused();
  receiver.push(...spans(2, 11));
  receiver.push(...spans(3, 10));
  receiver.push(...spans(4, 1));
  expect(drops).toEqual([
    ["traces", 11, "queue_full"],
    ["traces", 1, "queue_full"],
  ]);
});

test("spans that no receiver accepts for five minutes are dropped and counted", async () => {
  const { clock, drops, receiver, collector } = await setUp();
  await collector.close();
  receiver.push(...spans(1, 4));
  for (let waited = 0; waited <= maxPushAgeMs && drops.length === 0; waited += 15_000) {
    await vi.waitFor(() => expect(clock.timerCount + drops.length).toBeGreaterThan(0));
    await clock.advance(15_000);
  }
  await vi.waitFor(() => expect(drops).toEqual([["traces", 4, "expired"]]));
});

test("on shutdown everything in the queue is sent once more, and failures are counted", async () => {
  const { collector, drops, receiver, bodies, paused } = await setUp();
  collector.status = 503;
  receiver.push(...spans(1));
  await paused();
  receiver.push(...spans(2, 7));
  await receiver.end();
  expect(bodies()).toEqual([{ id: 1 }, { id: 1 }]);
  expect(drops).toEqual([
    ["traces", 1, "stopped"],
    ["traces", 7, "stopped"],
  ]);
});

test("on shutdown nothing is sent to a receiver whose Retry-After has not passed", async () => {
  const { collector, drops, receiver, bodies, paused } = await setUp();
  Object.assign(collector, { status: 429, headers: { "retry-after": "60" } });
  receiver.push(...spans(1));
  await paused();
  await receiver.end();
  expect([bodies(), drops]).toEqual([[{ id: 1 }], [["traces", 1, "stopped"]]]);
});

test("on shutdown a receiver that does not respond is awaited for a moment only, and what it did not take is counted", async () => {
  const { clock, drops, receiver } = startPushes("http://receiver", () => new Promise(() => undefined));
  receiver.push(...spans(1, 3));
  receiver.push(...spans(2, 4));
  receiver.push(...sums(1));
  let isEnded = false;
  void receiver.end().then(() => (isEnded = true));
  await clock.advance(maxEndMs - 1);
  expect([isEnded, drops]).toEqual([false, []]);
  await clock.advance(1);
  expect([isEnded, clock.timerCount]).toEqual([true, 0]);
  const expected = new Set([
    ["traces", 3, "stopped"],
    ["traces", 4, "stopped"],
    ["metrics", 5, "stopped"],
  ]);
  expect(new Set(drops)).toEqual(expected);
});

test("on shutdown a slow receiver gets as many pushes as it takes in that moment, and is not reported as failed", async () => {
  const clocks: ReturnType<typeof createVirtualClock>[] = [];
  const { clock, drops, events, receiver } = startPushes(
    "http://receiver",
    () => new Promise((resolve) => void clocks[0]?.setTimer(900, () => resolve(new Response("{}")))),
  );
  clocks.push(clock);
  for (const id of [1, 2, 3, 4]) receiver.push(...spans(id, id));
  let isEnded = false;
  void receiver.end().then(() => (isEnded = true));
  await clock.advance(maxEndMs);
  expect([isEnded, events, drops]).toEqual([
    true,
    [],
    [
      ["traces", 3, "stopped"],
      ["traces", 4, "stopped"],
    ],
  ]);
});

test("a batch that arrives as a push ends is sent at once, not with the next one", async () => {
  for (let ticks = 0; ticks < 12; ticks++) {
    const bodies: unknown[] = [];
    let arrived: (() => void) | null = null;
    const receiver = createOtlpPush(
      { endpoint: "http://receiver", headers: {} },
      {
        fetchUrl: async (_url, init) => {
          bodies.push(typeof init?.body === "string" ? JSON.parse(init.body) : null);
          return new Response('{"partialSuccess":{"rejectedSpans":"1"}}');
        },
        clock: createVirtualClock(),
        random: () => 0,
        report: () => undefined,
        // The receiver has accepted the batch.
        onDropped() {
          const push = arrived;
          arrived = null;
          let due = Promise.resolve();
          for (let tick = 0; tick < ticks; tick++) due = due.then(() => undefined);
          void due.then(push);
        },
      },
    );
    arrived = () => receiver.push(...spans(2));
    receiver.push(...spans(1));
    await vi.waitFor(() => expect(bodies).toEqual([{ id: 1 }, { id: 2 }]));
  }
});
