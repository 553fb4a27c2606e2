import { expect, test } from "vitest";
import { type Coalescer, createInProcessCoalescer } from "../src/index.ts";
import { createHarness, reply, textOf } from "./harness.ts";

const minute = { "cache-control": "max-age=60" };

/** A coalescer that is asked by a message, as one in another process is; `delayed` requests reach it late. */
function elsewhere(opensAfter: (index: number) => Promise<void>): Coalescer {
  const coalescer = createInProcessCoalescer({ clock: { now: () => 0 } });
  let count = 0;
  return {
    async enter(key) {
      await opensAfter(count++);
      return coalescer.enter(key);
    },
  };
}

test("50 concurrent misses make one request to the origin when turns are handed out elsewhere", async () => {
  const harness = createHarness({ coalescer: elsewhere(() => Promise.resolve()) });
  harness.replies.push(reply(minute));
  const answers = await Promise.all(Array.from({ length: 50 }, () => harness.send()));
  expect(answers.map(textOf)).toEqual(Array(50).fill("hello"));
  expect(harness.requests).toHaveLength(1);
});

test("who is told to lead only after the flight before has ended finds its answer and does not ask again", async () => {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const harness = createHarness({ coalescer: elsewhere((index) => (index === 1 ? opened : Promise.resolve())) });
  harness.replies.push(reply(minute));
  const [first, late] = [harness.send(), harness.send()];
  await first;
  open();
  const answer = await late;
  expect([textOf(answer), answer.report.reason]).toEqual(["hello", "collapsed"]);
  expect(harness.requests).toHaveLength(1);
});

test("a late leader whose client has gone away hands over", async () => {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const harness = createHarness({ coalescer: elsewhere((index) => (index === 0 ? opened : Promise.resolve())) });
  harness.replies.push(reply(minute));
  const client = new AbortController();
  const gone = harness.send({}, client.signal);
  client.abort(new Error("gone"));
  open();
  await expect(gone).rejects.toThrow("gone");
  expect(textOf(await harness.send())).toBe("hello");
  expect(harness.requests).toHaveLength(1);
});

test("a stale answer is refreshed once behind the answers that turns elsewhere allow", async () => {
  const harness = createHarness({ coalescer: elsewhere(() => Promise.resolve()) });
  harness.replies.push(reply({ "cache-control": "max-age=1, stale-while-revalidate=60", etag: '"a"' }));
  await harness.send();
  await harness.clock.advance(2_000);
  await Promise.all(Array.from({ length: 10 }, () => harness.send()));
  await Promise.all(harness.background);
  expect(harness.requests).toHaveLength(2);
});
