import type { HeaderRecord } from "../fields/header-record.ts";
import type { CacheEntry } from "../ports.ts";
import { arenaOverhead, type BodyArena, type BodyPlace, nowhere, readBody } from "./body-arenas.ts";
import type { EvictionNode, QueueNode } from "./eviction-queue.ts";

/** Bytes of an entry's objects, links and table slots, measured on Node.js. */
const entryBytes = 480;

/** An entry of the memory store. One object is the response, the place of its body and its queue node, because that needs the least memory. */
export class MemoryEntry implements CacheEntry, EvictionNode, BodyPlace {
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
  /** The next variant of the same resource. */
  sibling: MemoryEntry | null = null;
  previous: QueueNode | null = null;
  next: QueueNode | null = null;
  weight: number;
  uses = 0;
  isProven = false;
  arena: BodyArena = nowhere;
  offset = 0;
  length = 0;
  index = 0;
  isReleased = false;

  constructor(key: string, entry: CacheEntry, intern: Intern) {
    this.key = key;
    this.status = entry.status;
    this.headers = internHeaders(entry.headers, intern);
    this.vary = entry.vary;
    this.variant = entry.variant;
    this.receivedAtMs = entry.receivedAtMs;
    this.initialAgeMs = entry.initialAgeMs;
    this.freshForMs = entry.freshForMs;
    this.staleWhileRevalidateMs = entry.staleWhileRevalidateMs;
    this.staleIfErrorMs = entry.staleIfErrorMs;
    this.validatesAlways = entry.validatesAlways;
    this.isNeverStale = entry.isNeverStale;
    this.isImmutable = entry.isImmutable;
    this.keepUntilMs = entry.keepUntilMs;
    this.groups = entry.groups;
    this.weight = weigh(key, entry);
  }

  get body(): Uint8Array {
    return readBody(this);
  }
}

/** Copies the fields in their order, so that similar responses share one object shape. */
function internHeaders(headers: HeaderRecord, intern: Intern): HeaderRecord {
  const interned: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    // Assigning `__proto__` would set the prototype instead of a field.
    if (name === "__proto__") return headers;
    interned[intern(name)] = intern(value);
  }
  return interned;
}

/** The bytes that an entry counts for. */
function weigh(key: string, { headers, body, variant, groups }: CacheEntry): number {
  let characters = key.length;
  for (const [name, value] of Object.entries(headers)) characters += name.length + value.length;
  for (const text of variant) characters += text.length;
  for (const text of groups) characters += text.length + 64;
  return Math.ceil(body.length * arenaOverhead) + characters + entryBytes;
}

/** Returns one shared object for equal strings, so that a thousand responses of one type hold their type once. */
type Intern = (text: string) => string;

/** Creates an {@link Intern} for short strings. It forgets all of them when there are too many. */
export function createInterner(maximumTexts = 4_096, maximumLength = 128): Intern {
  const known = new Map<string, string>();
  return (text) => {
    if (text.length > maximumLength) return text;
    const same = known.get(text);
    if (same !== undefined) return same;
    if (known.size >= maximumTexts) known.clear();
    known.set(text, text);
    return text;
  };
}
