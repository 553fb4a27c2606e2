import { byCreation, type KeyRecord } from "../keys/key-record.ts";
import type { KeyStore } from "../ports.ts";

/** Keys that a store in memory takes unless told otherwise. */
const defaultMaxKeys = 10_000;

/**
 * Keys in memory, for tests and for a proxy inside another program. They end with the process, and there are at most `maxKeys`
 * of them: one more is refused, since forgetting an old one would lock somebody out.
 */
export function createMemoryKeyStore(maxKeys: number = defaultMaxKeys): KeyStore {
  const records = new Map<string, KeyRecord>();
  const uses = new Map<string, number>();
  let generation = 0;

  return {
    async find(id) {
      return records.get(id) ?? null;
    },
    async list() {
      return [...records.values()].toSorted(byCreation);
    },
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
