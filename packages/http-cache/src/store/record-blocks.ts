/** Where the bytes of entries are: written, given up, and moved when a block is mostly dead. Their format is decided elsewhere. */
import type { EntryTable, RecordBlock } from "./entry-table.ts";

/** Packs the records of entries into large blocks. A separate array would cost about a hundred bytes more for each. */
export interface RecordBlocks {
  /** Bytes of all blocks, including dead bytes in them. */
  readonly allocatedBytes: number;
  /** Copies the record of an entry, and writes its place into the table. */
  write(slot: number, head: Uint8Array, body: Uint8Array): void;
  /** Gives up the record of an entry. */
  release(slot: number): void;
}

const blockBytes = 262_144;
const maxPackedBytes = 32_768;

/** The share of a block that may be dead before its live records are moved to another block. */
const deadShare = 0.25;

/** The largest number of bytes that one live byte can occupy, not counting the block that is being filled. */
export const blockOverhead: number = 1 / (1 - deadShare);

const noBytes = new Uint8Array(0);

/** The block of a slot without a record. */
const nowhere: RecordBlock = createBlock(0);

/**
 * Creates an empty set of blocks.
 *
 * @param onMove receives the slot of each record that was moved to another block
 */
export function createRecordBlocks(table: EntryTable, onMove: (slot: number) => void): RecordBlocks {
  let current = createBlock(blockBytes);
  let allocatedBytes = blockBytes;

  function blockFor(length: number): RecordBlock {
    if (length > maxPackedBytes) {
      allocatedBytes += length;
      return createBlock(length);
    }
    if (current.usedBytes + length > blockBytes) {
      const full = current;
      current = createBlock(blockBytes);
      allocatedBytes += blockBytes;
      moveOutIfDead(full);
    }
    return current;
  }

  function write(slot: number, head: Uint8Array, body: Uint8Array): void {
    const length = head.length + body.length;
    const block = blockFor(length);
    block.bytes.set(head, block.usedBytes);
    block.bytes.set(body, block.usedBytes + head.length);
    block.slots.push(slot);
    table.block[slot] = block;
    table.offset[slot] = block.usedBytes;
    table.length[slot] = length;
    block.usedBytes += length;
  }

  /** Moves the live records of a mostly dead block. The block is not reused, because readers may hold views of it; it is garbage collected later. */
  function moveOutIfDead(block: RecordBlock): void {
    if (block === current || block.deadBytes < block.usedBytes * deadShare) return;
    allocatedBytes -= block.bytes.length;
    for (const slot of block.slots.splice(0)) {
      // A slot that was used twice in this block is moved once.
      if (table.block[slot] !== block) continue;
      const offset = table.offset[slot] ?? 0;
      write(slot, block.bytes.subarray(offset, offset + (table.length[slot] ?? 0)), noBytes);
      onMove(slot);
    }
  }

  return {
    get allocatedBytes() {
      return allocatedBytes;
    },
    write,
    release(slot) {
      const block = table.block[slot] ?? nowhere;
      if (block === nowhere) return;
      table.block[slot] = nowhere;
      block.deadBytes += table.length[slot] ?? 0;
      moveOutIfDead(block);
    },
  };
}

function createBlock(length: number): RecordBlock {
  return { bytes: new Uint8Array(length), slots: [], usedBytes: 0, deadBytes: 0 };
}
