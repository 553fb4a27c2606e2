/**
 * The places of the keys in Valkey in their list, which never change. They are in the memory of each process, so that a list reads only the records
 * that it needs.
 */
import type { ValkeyReply } from "@letta-environments/platform";
import { byCreation, type KeyPlace, readKeyRecord } from "../../keys/key-record.ts";
import { keysPerPart, type KeyText, maxPartLength, type ReadKeyPart } from "../key-search.ts";

/**
 * Returns the records of some ids, in their order, until they have a number of bytes together. KEYS is the hash of records; ARGV the number of bytes,
 * then the ids.
 */
export const readScript = `
local records, length = {}, 0
for i = 2, #ARGV do
  local record = redis.call("HGET", KEYS[1], ARGV[i])
  records[i - 1] = record
  if record then length = length + #record end
  if length >= tonumber(ARGV[1]) then break end
end
return records`;

interface ReadKeys {
  readonly texts: readonly KeyText[];
  /** The ids of the keys that were not read. */
  readonly rest: readonly string[];
}

interface Place extends KeyPlace {
  readonly tenant: string;
}

/**
 * @param readIds reads the ids of all keys
 * @param readRecords runs {@link readScript}
 */
export function createKeyPlaces(
  readIds: () => Promise<readonly string[]>,
  readRecords: (values: readonly (string | number)[]) => Promise<ValkeyReply>,
  onDamaged: (id: string) => void,
) {
  const places = new Map<string, Place>();

  /** Reads the first of some keys. */
  async function readSome(ids: readonly string[]): Promise<ReadKeys> {
    const reply = await readRecords([maxPartLength, ...ids.slice(0, keysPerPart)]);
    const records = Array.isArray(reply) ? reply : [];
    const texts = records.flatMap((record, index): KeyText[] =>
      record === null ? [] : [[ids[index] ?? "", String(record)]],
    );
    return { texts, rest: ids.slice(records.length) };
  }

  /** Finds the places of keys that are new, and forgets those of keys that are gone, such as after a loss of data. */
  async function refresh(): Promise<void> {
    const ids = await readIds();
    const present = new Set(ids);
    for (const id of places.keys()) if (!present.has(id)) places.delete(id);
    let rest: readonly string[] = ids.filter((id) => !places.has(id));
    while (rest.length > 0) {
      const some = await readSome(rest);
      for (const [id, text] of some.texts) {
        const record = readKeyRecord(id, text, onDamaged);
        if (record !== null) places.set(id, { id, createdAt: record.createdAt, tenant: record.tenant });
      }
      rest = some.rest;
    }
  }

  function startAfter(ordered: readonly Place[], after: string | undefined): number {
    if (after === undefined) return 0;
    const last = places.get(after);
    const start = last === undefined ? -1 : ordered.findIndex((place) => byCreation(last, place) < 0);
    return start === -1 ? ordered.length : start;
  }

  return {
    /** Begins a list of the keys that are stored now. */
    async begin(tenant: string | undefined): Promise<ReadKeyPart> {
      await refresh();
      const own = [...places.values()].filter((place) => tenant === undefined || place.tenant === tenant);
      const ordered = own.toSorted(byCreation);
      return async (after, size) => {
        const texts: KeyText[] = [];
        const start = startAfter(ordered, after);
        let rest: readonly string[] = ordered.slice(start, start + size).map(({ id }) => id);
        for (let length = 0; rest.length > 0 && length < maxPartLength;) {
          const some = await readSome(rest);
          texts.push(...some.texts);
          for (const [, text] of some.texts) length += text.length;
          rest = some.rest;
        }
        return texts;
      };
    },
  };
}
