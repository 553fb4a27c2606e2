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
  const reloader = createReloader({
    settings: started.settings,
    read: () => next(),
    async apply({ corsOrigins }) {
      await apply(corsOrigins);
      applied.push(corsOrigins);
    },
    describe: (cause) => (cause instanceof Error ? cause.message : "unknown"),
    report: (event) => events.push(event),
  });
  return { reloader, events, applied, reads: (read: () => ResolvedSettings) => (next = read) };
}

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
