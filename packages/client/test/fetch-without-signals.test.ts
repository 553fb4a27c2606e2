import { describe, expect, test } from "vitest";
import { createClient, type Fetch, type RequestOptions } from "../src/index.ts";
import { catchError } from "./catch-error.ts";
import { createGate } from "./gate.ts";
import { createHandClock } from "./hand-clock.ts";
import { scriptFetch } from "./scripted-fetch.ts";

/** A response whose body never ends and ignores signals. It reports when it is read and when it is cancelled. */
function stalledResponse(status: number, onRead: () => void, onCancel: () => void): Response {
  const source = { pull: () => new Promise<void>(() => onRead()), cancel: () => onCancel() };
  // Without a queue nothing is pulled before the body is read.
  const body = new ReadableStream(source, { highWaterMark: 0 });
  return new Response(body, { status, headers: { "content-type": "application/json" } });
}

function list(fetch: Fetch, options: RequestOptions = {}): Promise<unknown> {
  const client = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch });
  return client.environments.list({}, options);
}

describe("a fetch that ignores signals", () => {
  test.each([200, 404])(
    "a fetch that ignores signals does not keep a call open when the body of a %i response stalls: the body is cancelled",
    async (status) => {
      const clock = createHandClock();
      const given = createGate();
      const script = scriptFetch(() => stalledResponse(status, () => clock.passDeadline(), given.open));
      const error = await catchError(list(script.fetch));
      expect(error).toMatchObject({ code: "timeout" });
      await given.passed;
      expect(script.seen).toHaveLength(1);
    },
  );

  test("a fetch that ignores signals does not keep a call open when the response is late: its body is cancelled", async () => {
    const clock = createHandClock();
    const given = createGate();
    const late = createGate();
    const fetch: Fetch = async () => {
      queueMicrotask(() => clock.passDeadline());
      await late.passed;
      return stalledResponse(200, () => undefined, given.open);
    };
    expect((await catchError(list(fetch))).code).toBe("timeout");
    late.open();
    await given.passed;
  });

  test("a fetch that ignores signals sends nothing when the signal is already aborted", async () => {
    const script = scriptFetch(() => new Error("must not be called"));
    const error = await catchError(list(script.fetch, { signal: AbortSignal.abort() }));
    expect(error.code).toBe("aborted");
    expect(script.seen).toEqual([]);
  });
});

test("the body of a response that is too large is cancelled", async () => {
  const given = createGate();
  const endless = (): Response =>
    new Response(
      new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(600)), cancel: () => given.open() }),
    );
  const { fetch } = scriptFetch(endless);
  const client = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch, maxResponseBytes: 1_000 });
  expect((await catchError(client.environments.list())).code).toBe("response_too_large");
  await given.passed;
});
