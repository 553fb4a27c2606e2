import fc from "fast-check";
import { expect, test } from "vitest";
import { arenaOverhead, type BodyArena, type BodyPlace, createBodyArenas, nowhere, readBody } from "./body-arenas.ts";

const arenaBytes = 262_144;

function newPlace(): BodyPlace {
  return { arena: nowhere, offset: 0, length: 0, index: 0, isReleased: false };
}

test("bodies keep their bytes while others are released and moved", () => {
  const operation = fc.record({ length: fc.integer({ min: 0, max: 40_000 }), release: fc.nat(), value: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(operation, { minLength: 20, maxLength: 150 }), (operations) => {
      const arenas = createBodyArenas();
      const alive: { place: BodyPlace; value: number; length: number }[] = [];
      let liveBytes = 0;
      for (const { length, release, value } of operations) {
        const place = newPlace();
        arenas.write(new Uint8Array(length).fill(value), place);
        alive.push({ place, value, length });
        liveBytes += length;
        if (release % 2 === 0) {
          const [gone] = alive.splice(release % alive.length, 1);
          if (gone !== undefined) arenas.release(gone.place);
          liveBytes -= gone?.length ?? 0;
        }
        // The current block, the unused end of full blocks, and dead bytes come on top of the live bytes.
        expect(arenas.allocatedBytes).toBeLessThanOrEqual(2 * arenaBytes + liveBytes * arenaOverhead * 1.15 + 40_000);
      }
      for (const { place, value, length } of alive) {
        const body = readBody(place);
        expect([body.length, body.every((byte) => byte === value)]).toEqual([length, true]);
      }
    }),
    { numRuns: 60 },
  );
});

test("a view keeps its bytes after its place is released", () => {
  const arenas = createBodyArenas();
  const first = newPlace();
  arenas.write(new Uint8Array(1_000).fill(7), first);
  const view = readBody(first);
  arenas.release(first);
  for (let index = 0; index < 2_000; index++) {
    const place = newPlace();
    arenas.write(new Uint8Array(1_000).fill(9), place);
    arenas.release(place);
  }
  expect(view.every((byte) => byte === 7)).toBe(true);
  expect(arenas.allocatedBytes).toBeLessThanOrEqual(2 * arenaBytes);
});

test("no block keeps released or empty places", () => {
  const arenas = createBodyArenas();
  const seen = new Set<BodyArena>();
  for (let index = 0; index < 10_000; index++) {
    const place = newPlace();
    arenas.write(new Uint8Array(index % 2), place);
    seen.add(place.arena);
    arenas.release(place);
  }
  seen.delete(nowhere);
  const held = [...seen].flatMap(({ places }) => places.filter((place) => place !== null));
  expect([held, nowhere.places, arenas.allocatedBytes]).toEqual([[], [], arenaBytes]);
});
