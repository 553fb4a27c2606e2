/** The search of a list of keys, part by part, for stores that have records as texts. */
import { createPageRoom, type KeyQuery, type KeyRecord, readKeyRecord } from "../keys/key-record.ts";

/** A stored record by its id, as text. */
export type KeyText = readonly [id: string, text: string];

/** The most keys of a part of a list. */
export const keysPerPart = 500;
/** The characters of texts with which a part of a list ends, however few keys they are. */
export const maxPartLength = 512 * 1024;

/**
 * Reads a part of a list: the keys that follow `after`, if given only those of the tenant. It has fewer than `size` keys only at the end of the list, or when
 * their texts have {@link maxPartLength} characters.
 */
export type ReadKeyPart = (
  after: string | undefined,
  size: number,
  tenant: string | undefined,
) => readonly KeyText[] | Promise<readonly KeyText[]>;

/** Selects keys part by part, for stores of texts. */
export async function searchKeys(
  readPart: ReadKeyPart,
  query: KeyQuery | undefined,
  onDamaged: (id: string) => void,
): Promise<readonly KeyRecord[]> {
  const { limit, matches, tenant } = query ?? { limit: Infinity, matches: () => true };
  const found: KeyRecord[] = [];
  const hasRoom = query === undefined ? () => true : createPageRoom(limit);
  let after = query?.after;
  // Usually every key matches, so the first part is as long as the page.
  for (let size = Math.min(limit, keysPerPart); ; size = keysPerPart) {
    const part = await readPart(after, size, tenant);
    let length = 0;
    for (const [id, text] of part) {
      length += text.length;
      const record = readKeyRecord(id, text, onDamaged);
      if (record === null || !matches(record)) continue;
      found.push(record);
      if (!hasRoom(record) || found.length === limit) return found;
    }
    if (part.length < size && length < maxPartLength) return found;
    after = part.at(-1)?.[0];
  }
}
