/**
 * Gateway keys in a Durable Object ({@link KeyObjectStub}), shared by all gateways worldwide, and the uses of keys on their way
 * there. A change takes effect everywhere within five seconds: when the last response is older than a second, a request fetches
 * the number of changes in the background. Without a response, reads are trusted for four seconds; after that no key is admitted.
 */
import type { Clock } from "@letta-environments/platform";
import { changeKeyRecord, type KeyQuery, type KeyRecord, readKeyRecord, summarizeKeys } from "../../keys/key-record.ts";
import { KeyStoreUnavailableError } from "../../keys/key-store-outages.ts";
import { rootCauseMessage } from "../../lib/redact.ts";
import { createUseBatch, useFlushMs } from "../../keys/key-uses.ts";
import type { KeyStore } from "../../ports.ts";
import { type ReadKeyPart, searchKeys } from "../key-search.ts";
import type { KeyResult, KeyObjectStub } from "./key-object.ts";
import { callObject, objectTimeoutMs } from "./object-call.ts";

/** The most attempts to change a key that others are changing. */
const maxAttempts = 100;
/** How old the last response may be before a request fetches the number of changes, in milliseconds. */
export const refreshAfterMs = 1_000;
/** How long reads are trusted without a response, in milliseconds. With the time of a request, this stays within the promised five seconds. */
export const trustMs = 4_000;
/** How long a request waits for its key, in milliseconds. */
const findMs = 2_000;
/** Maximum number of keys whose uses wait; beyond that, uses are written immediately. */
const maxWaitingKeys = 10_000;

export interface DurableKeyStoreOptions {
  /** Returns a stub of the object that has the keys; called for each request to it. */
  readonly keys: () => KeyObjectStub;
  readonly clock: Pick<Clock, "monotonic" | "setTimer">;
  /** Keeps work alive after the response to the current request. */
  readonly background: (work: Promise<unknown>) => void;
  /** Receives the id of each damaged record, each time it is read. */
  readonly onDamaged?: (id: string) => void;
}

/** Creates a key store in a Durable Object. Its methods reject with KeyStoreUnavailableError when the object does not respond. */
export function createDurableKeyStore(options: DurableKeyStoreOptions): KeyStore {
  const { keys, clock, background, onDamaged = () => undefined } = options;
  const generation = createDurableKeyGeneration(clock, () => {
    background(refresh());
  });

  async function call<Result>(
    run: (stub: KeyObjectStub) => Promise<Result>,
    timeoutMs = objectTimeoutMs,
    isRead = false,
  ): Promise<Result> {
    const toObject = (): Promise<Result> => run(keys());
    try {
      return await callObject(clock, timeoutMs, toObject, isRead ? toObject : undefined);
    } catch (cause) {
      throw new KeyStoreUnavailableError({ cause });
    }
  }

  async function refresh(): Promise<void> {
    const requestedAt = clock.monotonic();
    try {
      generation.noteResponse(await call((stub) => stub.changes(), findMs), requestedAt);
    } catch {
      // The next request that needs a key calls the object again, and receives the failure.
    }
  }

  async function read<Value>(
    run: (stub: KeyObjectStub) => Promise<KeyResult<Value>>,
    timeoutMs?: number,
  ): Promise<Value> {
    const requestedAt = clock.monotonic();
    const { value, changes } = await call(run, timeoutMs, true);
    generation.noteResponse(changes, requestedAt);
    return value;
  }

  async function write(run: (stub: KeyObjectStub) => Promise<KeyResult<boolean>>): Promise<boolean> {
    const requestedAt = clock.monotonic();
    try {
      const { value, changes } = await call(run);
      if (value) generation.noteChange(changes, requestedAt);
      else generation.noteResponse(changes, requestedAt);
      return value;
    } catch (cause) {
      // The change may have been made.
      generation.noteChange(null, requestedAt);
      throw cause;
    }
  }

  return {
    async find(id) {
      const text = await read((stub) => stub.find(id), findMs);
      return text === null ? null : readKeyRecord(id, text, onDamaged);
    },
    ...createKeyLists(read, onDamaged),
    async create(record) {
      const isNew = await write((stub) => stub.insert(record.id, record.createdAt, JSON.stringify(record)));
      if (!isNew) throw new Error("there is a key with this id");
    },
    async update(id, change) {
      for (let attempt = 0; attempt < maxAttempts; attempt++) {
        const before = await read((stub) => stub.find(id), findMs);
        if (before === null) return null;
        const next = changeKeyRecord(id, before, change);
        if (await write((stub) => stub.replace(id, before, JSON.stringify(next)))) return next;
      }
      throw new KeyStoreUnavailableError({ cause: new Error("others kept changing the key") });
    },
    recordUse: (uses) => call((stub) => stub.recordUse(uses)),
    lastUses: async () => new Map(await call((stub) => stub.lastUses())),
    generation: () => generation.current(),
  };
}

/** Creates the methods that read many keys. During a deployment, the object may be of a version without the methods and values that they use. */
function createKeyLists(
  read: <Value>(run: (stub: KeyObjectStub) => Promise<KeyResult<Value>>) => Promise<Value>,
  onDamaged: (id: string) => void,
): Pick<KeyStore, "list" | "summarize"> {
  const readPart: ReadKeyPart = async (after, size, tenant) => {
    const part = await read((stub) => stub.list(after, size, tenant));
    // An earlier version returns every key.
    return part.slice(part.findIndex(([id]) => id === after) + 1);
  };
  const list = (query?: KeyQuery): Promise<readonly KeyRecord[]> => searchKeys(readPart, query, onDamaged);
  return {
    list,
    async summarize(nowMs) {
      try {
        return await read((stub) => stub.summarize(nowMs));
      } catch (cause) {
        if (!rootCauseMessage(cause).includes("does not implement")) throw cause;
        return summarizeKeys(list, nowMs);
      }
    },
  };
}

/**
 * Creates the generation of keys that are stored elsewhere, for a process without timers.
 *
 * @param refresh requests the number of changes in the background, and calls `noteResponse`. It must not throw.
 */
export function createDurableKeyGeneration(clock: Pick<Clock, "monotonic">, refresh: () => void) {
  let generation = 0;
  let respondedAt = -Infinity;
  let refreshedAt = -Infinity;
  /** `null` while the number of changes is unknown, and no read is trusted. */
  let known: number | null = null;

  return {
    /** Synchronous. Returns a new number on every call when the last response is older than {@link trustMs}. */
    current(): number {
      const now = clock.monotonic();
      if (now - respondedAt >= trustMs) generation += 1;
      else if (now - respondedAt >= refreshAfterMs && now - refreshedAt >= refreshAfterMs) {
        refreshedAt = now;
        refresh();
      }
      return generation;
    },
    /** Notes a response. `requestedAt` is the monotonic time of its request: later changes are not part of it. */
    noteResponse(changes: number, requestedAt: number): void {
      if (known !== null && changes !== known) generation += 1;
      known = changes;
      respondedAt = Math.max(respondedAt, requestedAt);
    },
    /** Notes that a change was made, or may have been: `changes` is `null` when that is unknown. */
    noteChange(changes: number | null, requestedAt: number): void {
      generation += 1;
      known = changes;
      respondedAt = changes === null ? -Infinity : Math.max(respondedAt, requestedAt);
    },
  };
}

export interface DurableKeyUsesOptions {
  readonly clock: Pick<Clock, "now" | "monotonic">;
  readonly keyStore: Pick<KeyStore, "recordUse">;
  /** Keeps work alive after the response to the current request. */
  readonly background: (work: Promise<unknown>) => void;
  readonly onFailure: (cause: unknown) => void;
}

/**
 * Creates a function that notes uses of keys where no timer outlives a request. The first use is written immediately, later
 * ones together after 30 seconds. Uses that still wait when an isolate ends are lost.
 */
export function createDurableKeyUses(options: DurableKeyUsesOptions): (keyId: string) => void {
  const { clock, keyStore, background, onFailure } = options;
  const batch = createUseBatch(keyStore, onFailure, maxWaitingKeys);
  let flushedAt = -Infinity;

  return (keyId) => {
    const now = clock.monotonic();
    const isFull = batch.add(keyId, clock.now());
    if (now - flushedAt < useFlushMs && !isFull) return;
    flushedAt = now;
    background(batch.write());
  };
}
