import { createOtlpCollector, createVirtualClock } from "@letta-environments/testkit";
import { expect, onTestFinished, test, vi } from "vitest";
import { maxPushAgeMs } from "../metrics/otlp-delivery.ts";
import { createOtlpPush, maxQueuedItems, type OtlpEvent } from "./otlp.ts";

async function setUp() {
  const collector = await createOtlpCollector();
  onTestFinished(collector.close);
  const clock = createVirtualClock();
  const events: OtlpEvent["type"][] = [];
  const drops: (readonly [signal: string, items: number, reason: string])[] = [];
  const receiver = createOtlpPush(
    { endpoint: collector.url, headers: {} },
    {
      fetchUrl: fetch,
      clock,
      random: () => 0,
      report: ({ type }) => void events.push(type),
      onDropped: (...drop) => void drops.push(drop),
    },
  );
  const bodies = (): readonly unknown[] => collector.pushes.map(({ body }) => body);
  const received = (count: number) => vi.waitFor(() => expect(collector.pushes).toHaveLength(count));
  /** A push has failed and waits for its repeat. */
  const paused = () => vi.waitFor(() => expect(clock.timerCount).toBe(1));
  return { collector, clock, events, drops, receiver, bodies, received, paused };
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
