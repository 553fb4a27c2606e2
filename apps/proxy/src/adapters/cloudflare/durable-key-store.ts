import type { Clock } from "@letta-environments/platform";
import { changeKeyRecord, type KeyRecord, readKeyRecord } from "../../keys/key-record.ts";
import { KeyStoreUnavailableError } from "../../keys/key-store-outages.ts";
import type { KeyStore } from "../../ports.ts";
import { createDurableKeyGeneration } from "./durable-key-generation.ts";
import type { KeyAnswer, KeyObjectStub } from "./key-object.ts";

/** Attempts to change a key that others are changing. */
const maxAttempts = 100;

/** What the store is made of. */
export interface DurableKeyStoreOptions {
  /** The object that has the keys; asked anew for each call. */
  readonly keys: () => KeyObjectStub;
  readonly clock: Pick<Clock, "now">;
  /** Keeps work alive that outlasts the answer to the request at hand. */
  readonly background: (work: Promise<unknown>) => void;
  /** Told the id of each damaged record, whenever it is met. */
  readonly onDamaged?: (id: string) => void;
}

/**
 * Keys in a {@link KeyObjectStub Durable Object}, which all gateways of the world share. A change is told to the others within five seconds; while
 * the object gives no answer, what was read is trusted for four seconds and nobody is admitted afterwards.
 *
 * Rejects with KeyStoreUnavailableError when the object gives no answer.
 */
export function createDurableKeyStore(options: DurableKeyStoreOptions): KeyStore {
  const { keys, clock, background, onDamaged = () => undefined } = options;
  const generation = createDurableKeyGeneration(clock, () => {
    background(look());
  });

  async function look(): Promise<void> {
    const askedAt = clock.now();
    try {
      generation.heard(await keys().changes(), askedAt);
    } catch {
      // Whoever needs a key asks again, and is told.
    }
  }

  async function read<Value>(ask: (stub: KeyObjectStub) => Promise<KeyAnswer<Value>>): Promise<Value> {
    const askedAt = clock.now();
    const { value, changes } = await answered(ask(keys()));
    generation.heard(changes, askedAt);
    return value;
  }

  async function write(ask: (stub: KeyObjectStub) => Promise<KeyAnswer<boolean>>): Promise<boolean> {
    const askedAt = clock.now();
    try {
      const { value, changes } = await answered(ask(keys()));
      if (value) generation.changed(changes, askedAt);
      else generation.heard(changes, askedAt);
      return value;
    } catch (cause) {
      // It may have been carried out.
      generation.changed(null, askedAt);
      throw cause;
    }
  }

  function readText(id: string, text: string): KeyRecord | null {
    const record = readKeyRecord(id, text);
    if (record === null) onDamaged(id);
    return record;
  }

  return {
    async find(id) {
      const text = await read((stub) => stub.find(id));
      return text === null ? null : readText(id, text);
    },
    async list() {
      const texts = await read((stub) => stub.list());
      return texts.flatMap(([id, text]) => readText(id, text) ?? []);
    },
    async create(record) {
      const isNew = await write((stub) => stub.insert(record.id, record.createdAt, JSON.stringify(record)));
      if (!isNew) throw new Error("there is a key with this id");
    },
    async update(id, change) {
      for (let attempt = 0; attempt < maxAttempts; attempt++) {
        const before = await read((stub) => stub.find(id));
        if (before === null) return null;
        const next = changeKeyRecord(id, before, change);
        const text = JSON.stringify(next);
        if (await write((stub) => stub.replace(id, before, text))) return next;
      }
      throw new KeyStoreUnavailableError({ cause: new Error("others kept changing the key") });
    },
    recordUse: (uses) => answered(keys().recordUse(uses)),
    lastUses: async () => new Map(await answered(keys().lastUses())),
    generation: () => generation.current(),
  };
}

async function answered<Answer>(answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (cause) {
    throw new KeyStoreUnavailableError({ cause });
  }
}
