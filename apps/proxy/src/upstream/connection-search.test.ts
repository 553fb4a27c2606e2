import { createVirtualClock } from "@letta-environments/testkit";
import { jsonResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { environmentRow } from "../../test/support/environment-row.ts";
import {
  createConnectionSearch,
  type FoundConnection,
  missesBeforeDelay,
  missDelayMs,
  missPauseMs,
  type ReadPages,
  unknownForMs,
} from "./connection-search.ts";
import type { EnvironmentPage } from "./environments.ts";

/** A list whose pages are read one after another, each when the test allows it. */
function createWorld(isShared = true) {
  const clock = createVirtualClock();
  const search = createConnectionSearch(clock, isShared);
  const world = {
    clock,
    search,
    searches: 0,
    pageDelayMs: 0,
    pages: [["a", "b"], ["c"]] as readonly (readonly string[])[],
    failure: null as EnvironmentPage | null,
    find(connectionId: string, key = "key"): Promise<FoundConnection> {
      return search.find(key, connectionId, readPages);
    },
  };
  const readPages: ReadPages = async function* () {
    world.searches += 1;
    for (const ids of world.pages) {
      if (world.pageDelayMs > 0) {
        await new Promise<void>((resolve) => void clock.setTimer(world.pageDelayMs, resolve));
      }
      if (world.failure !== null) return yield world.failure;
      const rows = ids.map((id) => ({ ...environmentRow(id, { connectionId: id }) }));
      yield { kind: "rows", rows, headers: {} };
    }
  };
  return world;
}

function idOf(found: FoundConnection): string | number {
  return found.kind === "found" ? (found.row.connectionId ?? "none") : found.response.status;
}

describe("searches for connections", () => {
  test("a search is shared by all lookups of a key that arrive before it starts, and later lookups use the next search", async () => {
    const world = createWorld();
    world.pageDelayMs = 10;
    const first = world.find("a");
    await world.clock.advance(5);
    const later = Promise.all(["b", "c", "b", "unknown"].map((id) => world.find(id)));
    await world.clock.advance(1_000);
    expect(idOf(await first)).toBe("a");
    expect((await later).map(idOf)).toEqual(["b", "c", "b", 404]);
    expect(world.searches).toBe(2);
  });

  test("a search finds a device that connected while an earlier search was running", async () => {
    const world = createWorld();
    world.pageDelayMs = 10;
    const first = world.find("unknown");
    await world.clock.advance(15);
    world.pages = [["a", "new"], ["c"]];
    const second = world.find("new");
    await world.clock.advance(100);
    expect([idOf(await first), idOf(await second)]).toEqual([404, "new"]);
  });

  test("a search stops at the page with the last id that it looks for", async () => {
    const world = createWorld();
    world.pages = [["a"], ["b"]];
    world.pageDelayMs = 10;
    const found = world.find("a");
    await world.clock.advance(10);
    expect(idOf(await found)).toBe("a");
    expect(world.clock.timerCount).toBe(0);
  });

  test("a search is not shared between keys", async () => {
    const world = createWorld();
    await Promise.all([world.find("a", "one"), world.find("a", "two"), world.find("x", "one")]);
    expect(world.searches).toBe(2);
    await world.find("x", "two");
    expect(world.searches).toBe(3);
  });

  test("a search is not repeated for an id that was not found a moment ago, until the key is forgotten", async () => {
    const world = createWorld();
    expect(idOf(await world.find("x"))).toBe(404);
    await world.clock.advance(unknownForMs - 1);
    expect(idOf(await world.find("x"))).toBe(404);
    expect(world.searches).toBe(1);
    await world.clock.advance(1);
    await world.find("x");
    expect(world.searches).toBe(2);
    world.search.forget("key");
    await world.find("x");
    expect(world.searches).toBe(3);
  });

  test("a failed search returns its response to every waiting lookup, and the next lookup searches again", async () => {
    const world = createWorld();
    world.failure = { kind: "refused", response: jsonResponse(503, {}), isAtLimit: false };
    expect((await Promise.all([world.find("a"), world.find("a")])).map(idOf)).toEqual([503, 503]);
    world.failure = null;
    expect(idOf(await world.find("a"))).toBe("a");
  });

  test("a search that fails after a long time does not delay later searches, because it did not miss an id", async () => {
    const world = createWorld();
    world.pageDelayMs = 30_000;
    world.failure = { kind: "refused", response: jsonResponse(504, {}), isAtLimit: false };
    const failing = world.find("a");
    await world.clock.advance(30_000);
    expect(idOf(await failing)).toBe(504);
    world.failure = null;
    world.pageDelayMs = 0;
    expect(idOf(await world.find("a"))).toBe("a");
  });

  test("a search that throws rejects every waiting lookup, and the next lookup searches again", async () => {
    const search = createConnectionSearch(createVirtualClock(), true);
    const broken: ReadPages = () => {
      throw new Error("broken");
    };
    await expect(search.find("key", "a", broken)).rejects.toThrow("broken");
    await expect(search.find("key", "a", broken)).rejects.toThrow("broken");
  });

  test("after a few misses, searches for unknown ids run at most once in two seconds, however many ids are tried", async () => {
    const world = createWorld();
    const pending: Promise<FoundConnection>[] = [];
    for (let count = 0; count < 600; count++) {
      pending.push(world.find(`wrong-${count}`));
      await world.clock.advance(100);
    }
    await world.clock.advance(10_000);
    expect((await Promise.all(pending)).every((found) => idOf(found) === 404)).toBe(true);
    expect(world.searches).toBeLessThanOrEqual(60_000 / missPauseMs + missesBeforeDelay + 2);
  });

  test("searches for unknown ids in a long list run at most a fifth of the time", async () => {
    const world = createWorld();
    world.pageDelayMs = 1_000;
    const pending: Promise<FoundConnection>[] = [];
    for (let count = 0; count < 200; count++) {
      pending.push(world.find(`wrong-${count}`));
      await world.clock.advance(1_000);
    }
    await world.clock.advance(60_000);
    await Promise.all(pending);
    expect(world.searches * 2_000).toBeLessThanOrEqual(260_000 / 5 + 4_000);
  });

  test("a search for an existing id is not delayed by a few unknown ones", async () => {
    const world = createWorld();
    for (let count = 0; count < missesBeforeDelay; count++) await world.find(`wrong-${count}`);
    expect(idOf(await world.find("a"))).toBe("a");
  });

  test("each lookup runs its own search on runtimes where requests must not wait for each other", async () => {
    const world = createWorld(false);
    expect((await Promise.all(["a", "a", "c", "x"].map((id) => world.find(id)))).map(idOf)).toEqual([
      "a",
      "a",
      "c",
      404,
    ]);
    expect(world.searches).toBe(4);
    expect(idOf(await world.find("x"))).toBe(404);
    expect(world.searches).toBe(4);
  });

  test.each([
    [0, 10_000, 0],
    [16_000, 10_000, 0],
    [16_500, 10_000, 500],
  ])("a search with pauses until %d waits at %d for %d ms", (untilMs, nowMs, expected) => {
    expect(missDelayMs(untilMs, nowMs)).toBe(expected);
  });
});
