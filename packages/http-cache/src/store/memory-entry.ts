import type { HeaderRecord } from "../fields/header-record.ts";
import type { CacheEntry } from "../ports.ts";
import { arenaOverhead, type BodyArena, type BodyPlace, nowhere, readBody } from "./body-arenas.ts";
import type { EvictionNode, QueueNode } from "./eviction-queue.ts";

/** Bytes of an entry's object, links and table slots, measured on Node.js. */
const entryBytes = 320;

/**
 * An entry of the memory store: its links, its queue node, and the place of its record. The record has the fields as JSON and then the body. It is
 * outside the heap of the garbage collector, where the objects and texts of an entry would need a multiple of its own size.
 */
export class MemoryEntry implements EvictionNode, BodyPlace {
  readonly hash: number;
  readonly keepUntilMs: number;
  readonly weight: number;
  /** Bytes of the fields. The body follows them. */
  readonly headLength: number;
  /** The next entry with the same hash: another variant, or rarely another key. */
  sibling: MemoryEntry | null = null;
  /** The unpacked entry, for as long as it is remembered. */
  unpacked: UnpackedEntry | null = null;
  previous: QueueNode | null = null;
  next: QueueNode | null = null;
  uses = 0;
  isProven = false;
  arena: BodyArena = nowhere;
  offset = 0;
  length = 0;
  index = 0;
  isReleased = false;

  constructor(hash: number, keepUntilMs: number, headLength: number, bodyLength: number) {
    this.hash = hash;
    this.keepUntilMs = keepUntilMs;
    this.headLength = headLength;
    this.weight = Math.ceil((headLength + bodyLength) * arenaOverhead) + entryBytes;
  }
}

/** An entry as a reader gets it. The body is read from its place, so that an entry that is remembered keeps no old block alive. */
export class UnpackedEntry implements CacheEntry {
  readonly key: string;
  readonly status: number;
  readonly headers: HeaderRecord;
  readonly vary: readonly string[];
  readonly variant: readonly string[];
  readonly receivedAtMs: number;
  readonly initialAgeMs: number;
  readonly freshForMs: number;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  readonly validatesAlways: boolean;
  readonly isNeverStale: boolean;
  readonly isImmutable: boolean;
  readonly keepUntilMs: number;
  readonly groups: readonly string[];
  readonly #place: MemoryEntry;

  constructor(place: MemoryEntry) {
    const head = decoder.decode(readBody(place).subarray(0, place.headLength));
    const [key, headers, vary, variant, groups, numbers, flags] = JSON.parse(head) as Head;
    this.key = key;
    this.status = numbers[0];
    this.headers = headers;
    this.vary = vary;
    this.variant = variant;
    this.receivedAtMs = numbers[1];
    this.initialAgeMs = numbers[2];
    this.freshForMs = numbers[3];
    this.staleWhileRevalidateMs = numbers[4];
    this.staleIfErrorMs = numbers[5];
    this.validatesAlways = (flags & 1) !== 0;
    this.isNeverStale = (flags & 2) !== 0;
    this.isImmutable = (flags & 4) !== 0;
    this.keepUntilMs = place.keepUntilMs;
    this.groups = groups;
    this.#place = place;
  }

  get body(): Uint8Array {
    return readBody(this.#place).subarray(this.#place.headLength);
  }
}

type Head = readonly [
  key: string,
  headers: HeaderRecord,
  vary: readonly string[],
  variant: readonly string[],
  groups: readonly string[],
  numbers: readonly [number, number, number, number, number, number],
  flags: number,
];

const encoder = new TextEncoder();
// A key may begin with U+FEFF.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Packs the key and the fields of an entry, without its body. */
export function packHead(key: string, entry: CacheEntry): Uint8Array {
  const { status, receivedAtMs, initialAgeMs, freshForMs, staleWhileRevalidateMs, staleIfErrorMs } = entry;
  const numbers = [status, receivedAtMs, initialAgeMs, freshForMs, staleWhileRevalidateMs, staleIfErrorMs] as const;
  const flags = (entry.validatesAlways ? 1 : 0) + (entry.isNeverStale ? 2 : 0) + (entry.isImmutable ? 4 : 0);
  const head: Head = [key, entry.headers, entry.vary, entry.variant, entry.groups, numbers, flags];
  return encoder.encode(JSON.stringify(head));
}
