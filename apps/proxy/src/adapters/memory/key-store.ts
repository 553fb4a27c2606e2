import { byCreation, type KeyQuery, type KeyRecord, selectKeys, summarizeKeys } from "../../keys/key-record.ts";
import type { KeyStore } from "../../ports.ts";

/** The default limit of keys. */
const defaultMaxKeys = 10_000;

/**
 * Creates a key store in memory, for tests and for a gateway inside another program. The keys end with the process. A full store
 * refuses another key: removing an old one would lock out its holder.
 */
export function createMemoryKeyStore(maxKeys: number = defaultMaxKeys): KeyStore {
  const records = new Map<string, KeyRecord>();
  const uses = new Map<string, number>();
  let generation = 0;

  async function list(query?: KeyQuery): Promise<readonly KeyRecord[]> {
    return selectKeys([...records.values()].toSorted(byCreation), query);
  }

  return {
    async find(id) {
      return records.get(id) ?? null;
    },
    list,
    summarize: (nowMs) => summarizeKeys(list, nowMs),
    async create(record) {
      if (records.has(record.id)) throw new Error("there is a key with this id");
      if (records.size >= maxKeys) throw new Error(`the store has ${maxKeys} keys and takes no more`);
      records.set(record.id, record);
      generation += 1;
    },
    async update(id, change) {
      const record = records.get(id);
      if (record === undefined) return null;
      const next = change(record);
      records.set(id, next);
      generation += 1;
      return next;
    },
    async recordUse(used) {
      for (const { id, usedAt } of used) {
        if (records.has(id)) uses.set(id, Math.max(usedAt, uses.get(id) ?? 0));
      }
    },
    async lastUses() {
      return new Map(uses);
    },
    generation: () => generation,
  };
}
