/** The contents of events, and their size limit. */
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createClient, type StreamedEvent } from "../src/index.ts";
import { scriptFetch } from "../src/testing/index.ts";
import { createWrittenStream, type WrittenStream } from "./event-stream.ts";
import { installClock, installRandom } from "./install-clock.ts";

const device = { deviceId: "d-1", connectionId: "c-1" };

/** Follows the streams, one after the other, with a client whose responses may have 100 bytes. */
async function follow(...streams: readonly WrittenStream[]) {
  const clock = createVirtualClock();
  installClock(clock);
  installRandom(0.5);
  const script = scriptFetch(...streams.map(({ response }) => response));
  const options = { baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", maxResponseBytes: 100 };
  const events = createClient({ ...options, fetch: script.fetch }).environments.events();
  const seen: StreamedEvent[] = [];
  const ended = (async () => {
    for await (const event of events) seen.push(event);
  })().catch((error: unknown) => error);
  await clock.advance(0);
  const headers = () => script.seen.map(({ init }) => new Headers(init.headers).get("last-event-id"));
  return { clock, events, seen, ended, headers };
}

test("an event whose documented member is not an object is skipped, and reading continues after it", async () => {
  const [first, second] = [createWrittenStream(), createWrittenStream()];
  const { clock, events, seen, headers } = await follow(first, second);
  const members = { environment: "environment", message: "message", approval: "approval", output: "delta" };
  for (const [type, member] of Object.entries(members)) {
    for (const value of [undefined, null, "text", []]) first.event("1", type, { ...device, [member]: value });
    first.event(type, type, { ...device, [member]: {} });
  }
  first.event("2", "message", { ...device, environment: {} });
  first.event("3", "constructor", { constructor: {} });
  await clock.advance(0);
  expect(seen.map(({ id, type }) => [id, type])).toEqual(Object.keys(members).map((type) => [type, type]));
  first.end();
  await clock.advance(500);
  expect(headers()).toEqual([null, "3"]);
  await events.return();
});

test("maxResponseBytes does not limit a stream of events or one of its events", async () => {
  const stream = createWrittenStream();
  const { clock, events, seen } = await follow(stream);
  stream.event("1", "output", { ...device, delta: { text: "x".repeat(3_000) } });
  await clock.advance(0);
  expect(seen).toMatchObject([{ id: "1" }]);
  await events.return();
});
