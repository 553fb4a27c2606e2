import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createClient } from "../src/index.ts";
import { createFakeServer, respondWithProblem } from "../src/testing/index.ts";
import { installClock, installRandom } from "./install-clock.ts";

test("watch asks a server that fails no more often than every intervalMs", async () => {
  const clock = createVirtualClock();
  installClock(clock);
  installRandom(0);
  const server = createFakeServer({ now: clock.now });
  const { environments } = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "lek_test", fetch: server.fetch });
  const takeLists = () => server.requests.splice(0).filter(({ url }) => !url.includes("/events"));
  const events = environments.watch(null, { intervalMs: 100_000 });
  const ended = events.next();
  await clock.advance(0);
  server.interrupt(respondWithProblem("shutting_down"), respondWithProblem("shutting_down"));
  await clock.advance(101_000);
  expect(takeLists()).toHaveLength(2);
  await clock.advance(98_000);
  expect(takeLists()).toEqual([]);
  await clock.advance(3_000);
  expect(takeLists()).toHaveLength(1);
  await events.return();
  expect(await ended).toEqual({ done: true, value: undefined });
});
