import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { resolveSettings, type ResolvedSettings } from "./resolve.ts";
import { createReloader, type ReloadEvent } from "./reload.ts";

function resolve(origin: string): ResolvedSettings {
  return resolveSettings({ flags: {}, environment: {}, file: { cors: { origins: [origin] } } });
}

function setUp(apply: (origins: readonly string[]) => Promise<void> = () => Promise.resolve()) {
  const started = resolve("https://start.example");
  if (!started.ok) throw new Error("the settings are good");
  const events: ReloadEvent[] = [];
  const applied: (readonly string[])[] = [];
  let next: () => ResolvedSettings = () => started;
  const clock = createVirtualClock();
  const reloader = createReloader({
    settings: started.settings,
    read: () => next(),
    async apply({ corsOrigins }) {
      await apply(corsOrigins);
      applied.push(corsOrigins);
    },
    clock,
    isTemporary: (cause) => cause instanceof Outage,
    describe: (cause) => (cause instanceof Error ? cause.message : "unknown"),
    describeProblem: ({ setting, rule }) => `${setting} ${rule}`,
    report: (event) => events.push(event),
  });
  return { clock, reloader, events, applied, reads: (read: () => ResolvedSettings) => (next = read) };
}

class Outage extends Error {}

test("changed settings are applied and reported by name", async () => {
  const { reloader, events, applied, reads } = setUp();
  reads(() => resolve("https://a.example"));
  await reloader.reload();
  expect(applied).toEqual([["https://a.example"]]);
  expect(events).toEqual([{ type: "configuration_reloaded", changed: ["cors.origins"], awaitingRestart: [] }]);
});

test("an invalid file changes nothing, and a valid one after it is applied", async () => {
  const { reloader, events, applied, reads } = setUp();
  reads(() => resolve("not an origin"));
  await reloader.reload();
  expect(applied).toEqual([]);
  expect(events).toMatchObject([
    { type: "configuration_refused", problems: [expect.stringContaining("cors.origins")] },
  ]);
  expect(JSON.stringify(events)).not.toContain("not an origin");
  reads(() => resolve("https://b.example"));
  await reloader.reload();
  expect(applied).toEqual([["https://b.example"]]);
});

test("settings that cannot be applied leave the old ones in effect, and are tried again by the next reload", async () => {
  let isBroken = true;
  const { reloader, events, applied, reads } = setUp(async () => {
    if (isBroken) throw new Error("a credential file is missing");
  });
  reads(() => resolve("https://a.example"));
  await reloader.reload();
  expect(events).toEqual([{ type: "configuration_refused", problems: ["a credential file is missing"] }]);
  isBroken = false;
  await reloader.reload();
  expect(applied).toEqual([["https://a.example"]]);
});

test("settings that cannot be applied while a store does not respond are tried again until they can, and reported once", async () => {
  let isDown = true;
  const { clock, reloader, events, applied, reads } = setUp(async () => {
    if (isDown) throw new Outage("the store does not respond");
  });
  reads(() => resolve("https://a.example"));
  await reloader.reload();
  await clock.advance(60_000);
  expect(events).toEqual([{ type: "configuration_refused", problems: ["the store does not respond"] }]);
  isDown = false;
  await clock.advance(5_000);
  expect(applied).toEqual([["https://a.example"]]);
  expect(events.slice(1)).toEqual([{ type: "configuration_reloaded", changed: ["cors.origins"], awaitingRestart: [] }]);
  await clock.advance(60_000);
  expect(events).toHaveLength(2);
});

test("a change during the outage replaces the previous one, and closing the gateway ends the attempts", async () => {
  let isDown = true;
  let attempts = 0;
  const { clock, reloader, applied, reads } = setUp(async () => {
    attempts += 1;
    if (isDown) throw new Outage("the store does not respond");
  });
  reads(() => resolve("https://a.example"));
  await reloader.reload();
  isDown = false;
  reads(() => resolve("https://b.example"));
  await reloader.reload();
  await clock.advance(60_000);
  expect([applied, attempts]).toEqual([[["https://b.example"]], 2]);
  isDown = true;
  reads(() => resolve("https://c.example"));
  await reloader.reload();
  reloader.end();
  await clock.advance(60_000);
  expect(attempts).toBe(3);
});

test("an invalid file is not tried again without a change", async () => {
  const { clock, reloader, events, reads } = setUp();
  reads(() => resolve("not an origin"));
  await reloader.reload();
  await clock.advance(60_000);
  expect(events).toHaveLength(1);
});

test("a file that cannot be read is refused without a crash", async () => {
  const { reloader, events, reads } = setUp();
  reads(() => {
    throw new Error("proxy.config.json is not valid JSON");
  });
  await reloader.reload();
  expect(events).toEqual([{ type: "configuration_refused", problems: ["proxy.config.json is not valid JSON"] }]);
});

test("reloads never overlap, and the file at the time of the last call takes effect", async () => {
  let underWay = 0;
  let most = 0;
  const gates: (() => void)[] = [];
  const { reloader, applied, reads } = setUp(async () => {
    underWay += 1;
    most = Math.max(most, underWay);
    await new Promise<void>((release) => gates.push(release));
    underWay -= 1;
  });
  reads(() => resolve("https://a.example"));
  const first = reloader.reload();
  reads(() => resolve("https://b.example"));
  void reloader.reload();
  reads(() => resolve("https://c.example"));
  const last = reloader.reload();
  gates.shift()?.();
  await expect.poll(() => gates.length).toBe(1);
  gates.shift()?.();
  await Promise.all([first, last]);
  expect(most).toBe(1);
  expect(applied).toEqual([["https://a.example"], ["https://c.example"]]);
});
