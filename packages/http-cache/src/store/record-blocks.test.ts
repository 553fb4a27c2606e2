import fc from "fast-check";
import { expect, test } from "vitest";
import { EntryTable, type RecordBlock } from "./entry-table.ts";
import { blockOverhead, createRecordBlocks, type RecordBlocks } from "./record-blocks.ts";

const blockBytes = 262_144;
const head = new Uint8Array(2).fill(1);

function setUp(): {
  readonly table: EntryTable;
  readonly blocks: RecordBlocks;
  readonly moved: number[];
  store(body: Uint8Array): number;
  remove(slot: number): void;
} {
  const table = new EntryTable();
  const moved: number[] = [];
  const blocks = createRecordBlocks(table, (slot) => void moved.push(slot));
  return {
    table,
    blocks,
    moved,
    store(body) {
      const slot = table.take();
      table.headLength[slot] = head.length;
      blocks.write(slot, head, body);
      return slot;
    },
    remove(slot) {
      blocks.release(slot);
      table.free(slot);
    },
  };
}

test("records keep their bytes while others are released and moved", () => {
  const operation = fc.record({ length: fc.integer({ min: 0, max: 40_000 }), release: fc.nat(), value: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(operation, { minLength: 20, maxLength: 150 }), (operations) => {
      const { table, blocks, store, remove } = setUp();
      const alive: { slot: number; value: number; length: number }[] = [];
      let liveBytes = 0;
      for (const { length, release, value } of operations) {
        alive.push({ slot: store(new Uint8Array(length).fill(value)), value, length });
        liveBytes += head.length + length;
        if (release % 2 === 0) {
          const [gone] = alive.splice(release % alive.length, 1);
          if (gone === undefined) continue;
          remove(gone.slot);
          liveBytes -= head.length + gone.length;
        }
        // The current block, the unused end of full blocks, and dead bytes are added to the live bytes.
        expect(blocks.allocatedBytes).toBeLessThanOrEqual(2 * blockBytes + liveBytes * blockOverhead * 1.15 + 40_000);
      }
      for (const { slot, value, length } of alive) {
        const body = table.body(slot);
        expect([body.length, body.every((byte) => byte === value), [...table.head(slot)]]).toEqual([
          length,
          true,
          [...head],
        ]);
      }
    }),
    { numRuns: 60 },
  );
});

test("a view keeps its bytes after its record is released and its slot is reused", () => {
  const { table, blocks, store, remove } = setUp();
  const first = store(new Uint8Array(1_000).fill(7));
  const view = table.body(first);
  remove(first);
  for (let index = 0; index < 2_000; index++) remove(store(new Uint8Array(1_000).fill(9)));
  expect(view.every((byte) => byte === 7)).toBe(true);
  expect(blocks.allocatedBytes).toBeLessThanOrEqual(2 * blockBytes);
});

test("a record is reported when it moves to another block", () => {
  const { table, moved, store, remove } = setUp();
  const kept = store(new Uint8Array(1_000).fill(7));
  const before = table.block[kept];
  for (let index = 0; index < 600; index++) remove(store(new Uint8Array(1_000).fill(9)));
  expect(moved).toContain(kept);
  expect(table.block[kept]).not.toBe(before);
  expect(table.body(kept).every((byte) => byte === 7)).toBe(true);
});

test("no block of a released record is kept", () => {
  const { table, blocks, store, remove } = setUp();
  const seen = new Set<RecordBlock>();
  for (let index = 0; index < 500_000; index++) {
    const slot = store(new Uint8Array(index % 2));
    const block = table.block[slot];
    if (block !== undefined) seen.add(block);
    remove(slot);
  }
  // Only the block that is being filled still lists slots.
  expect([...seen].filter(({ slots }) => slots.length > 0)).toHaveLength(1);
  expect([seen.size > 2, blocks.allocatedBytes]).toEqual([true, blockBytes]);
});
