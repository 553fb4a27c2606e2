import type { StoredResponse } from "../decide/stored-response.ts";
import type { HeaderRecord } from "../fields/header-record.ts";
import { arenaOverhead, type BodyArena, type BodyPlace, nowhere, readBody } from "./body-arenas.ts";
import type { EvictionNode } from "./eviction-queue.ts";
import type { Intern } from "./interner.ts";
import type { QueueNode } from "./linked-queue.ts";

/** Objects, links and table slots of an entry, as measured on Node. */
const entryBytes = 480;

/** An answer in the memory store; one object is the answer, its place and its node in the queue, which is the smallest. */
export class MemoryEntry implements StoredResponse, EvictionNode, BodyPlace {
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

  constructor(key: string, response: StoredResponse, intern: Intern) {
    this.key = key;
    this.status = response.status;
    this.headers = internHeaders(response.headers, intern);
    this.vary = response.vary;
    this.variant = response.variant;
    this.receivedAtMs = response.receivedAtMs;
    this.initialAgeMs = response.initialAgeMs;
    this.freshForMs = response.freshForMs;
    this.staleWhileRevalidateMs = response.staleWhileRevalidateMs;
    this.staleIfErrorMs = response.staleIfErrorMs;
    this.validatesAlways = response.validatesAlways;
    this.isNeverStale = response.isNeverStale;
    this.isImmutable = response.isImmutable;
    this.keepUntilMs = response.keepUntilMs;
    this.groups = response.groups;
    this.weight = weigh(key, response);
  }

  get body(): Uint8Array {
    return readBody(this);
  }
}

/** Rebuilt by the names in order, so that the objects of like answers have one shape. */
function internHeaders(headers: HeaderRecord, intern: Intern): HeaderRecord {
  const interned: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    // An assignment would set the prototype, not a field.
    if (name === "__proto__") return headers;
    interned[intern(name)] = intern(value);
  }
  return interned;
}

/** Bytes that an entry is counted with. */
function weigh(key: string, { headers, body, variant, groups }: StoredResponse): number {
  let characters = key.length;
  for (const [name, value] of Object.entries(headers)) characters += name.length + value.length;
  for (const text of variant) characters += text.length;
  for (const text of groups) characters += text.length + 64;
  return Math.ceil(body.length * arenaOverhead) + characters + entryBytes;
}
