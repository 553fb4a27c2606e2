import { expect, test } from "vitest";
import { type Coalescer, createInProcessCoalescer } from "../src/index.ts";
import { createHarness, reply, textOf } from "./harness.ts";

const minute = { "cache-control": "max-age=60" };

/** A coalescer that returns promises, as one in another process does. `opensAfter` delays single requests. */
function createRemoteCoalescer(opensAfter: (index: number) => Promise<void>): Coalescer {
  const coalescer = createInProcessCoalescer({ clock: { now: () => 0 } });
  let count = 0;
  return {
    async enter(key) {
      await opensAfter(count++);
      return coalescer.enter(key);
    },
  };
}

test("50 concurrent misses make one request to the origin with a remote coalescer", async () => {
  const harness = createHarness({ coalescer: createRemoteCoalescer(() => Promise.resolve()) });
  harness.replies.push(reply(minute));
  const responses = await Promise.all(Array.from({ length: 50 }, () => harness.send()));
  expect(responses.map(textOf)).toEqual(Array(50).fill("hello"));
  expect(harness.requests).toHaveLength(1);
});

test("a request that becomes leader after the previous fetch ended uses its stored response", async () => {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const harness = createHarness({
    coalescer: createRemoteCoalescer((index) => (index === 1 ? opened : Promise.resolve())),
  });
  harness.replies.push(reply(minute));
  const [first, late] = [harness.send(), harness.send()];
  await first;
  open();
  const response = await late;
  expect([textOf(response), response.report.reason]).toEqual(["hello", "collapsed"]);
  expect(harness.requests).toHaveLength(1);
});

test("a late leader whose client disconnected hands over", async () => {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const harness = createHarness({
    coalescer: createRemoteCoalescer((index) => (index === 0 ? opened : Promise.resolve())),
  });
  harness.replies.push(reply(minute));
  const client = new AbortController();
  const gone = harness.send({}, client.signal);
  client.abort(new Error("gone"));
  open();
  await expect(gone).rejects.toThrow("gone");
  expect(textOf(await harness.send())).toBe("hello");
  expect(harness.requests).toHaveLength(1);
});

test("a stale response is revalidated once in the background with a remote coalescer", async () => {
  const harness = createHarness({ coalescer: createRemoteCoalescer(() => Promise.resolve()) });
  harness.replies.push(reply({ "cache-control": "max-age=1, stale-while-revalidate=60", etag: '"a"' }));
  await harness.send();
  await harness.clock.advance(2_000);
  await Promise.all(Array.from({ length: 10 }, () => harness.send()));
  await Promise.all(harness.background);
  expect(harness.requests).toHaveLength(2);
});
