import { describe, expect, test } from "vitest";
import { createClient, type Fetch, type RequestOptions } from "../src/index.ts";
import { catchError } from "./catch-error.ts";
import { createGate } from "./gate.ts";
import { createHandClock } from "./hand-clock.ts";
import { scriptFetch } from "./scripted-fetch.ts";

/** A body that never ends and knows no signal; it says when it is read and when it is given up. */
function stalledAnswer(status: number, onRead: () => void, onCancel: () => void): Response {
  const source = { pull: () => new Promise<void>(() => onRead()), cancel: () => onCancel() };
  // Without a queue nothing is pulled before somebody reads.
  const body = new ReadableStream(source, { highWaterMark: 0 });
  return new Response(body, { status, headers: { "content-type": "application/json" } });
}

function list(fetch: Fetch, options: RequestOptions = {}): Promise<unknown> {
  const client = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch });
  return client.environments.list({}, options);
}

describe("a fetch that knows no signals holds no call", () => {
  test.each([200, 404])("when the body of a %i stalls, and the body is given up", async (status) => {
    const clock = createHandClock();
    const given = createGate();
    const script = scriptFetch(() => stalledAnswer(status, () => clock.passDeadline(), given.open));
    const error = await catchError(list(script.fetch));
    expect(error).toMatchObject({ code: "timeout" });
    await given.passed;
    expect(script.seen).toHaveLength(1);
  });

  test("when the answer comes too late, and the late answer is given up", async () => {
    const clock = createHandClock();
    const given = createGate();
    const late = createGate();
    const fetch: Fetch = async () => {
      queueMicrotask(() => clock.passDeadline());
      await late.passed;
      return stalledAnswer(200, () => undefined, given.open);
    };
    expect((await catchError(list(fetch))).code).toBe("timeout");
    late.open();
    await given.passed;
  });

  test("when the signal is aborted already: nothing is sent", async () => {
    const script = scriptFetch(() => new Error("must not be called"));
    const error = await catchError(list(script.fetch, { signal: AbortSignal.abort() }));
    expect(error.code).toBe("aborted");
    expect(script.seen).toEqual([]);
  });
});

test("an answer that grows too large is given up", async () => {
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
