import { type Clock, type ValkeyConnection, ValkeyError, type ValkeyReply } from "@letta-environments/platform";
import { byCreation, changeKeyRecord, type KeyRecord, readKeyRecord } from "../keys/key-record.ts";
import { KeyStoreUnavailableError } from "../keys/key-store-outages.ts";
import type { KeyStore, KeyUse } from "../ports.ts";
import { watchKeyGeneration } from "./valkey-key-generation.ts";
import { createScript, recordsName, replaceScript, stampName, usesName, useScript } from "./valkey-key-scripts.ts";

/** Attempts to change a key that others are changing. */
const maxAttempts = 100;
/** Uses that one script writes: others wait for it. */
const usesPerScript = 500;

/** Keys in Valkey. */
export interface ValkeyKeyStore extends KeyStore {
  /** Stops looking for changes; the connection stays its owner's. */
  close(): void;
}

/**
 * Keys in Valkey or Redis, which several gateways may share. Changes are told to the others within five seconds while Valkey
 * answers within two. While it does not, what was read stays good for {@link outageBoundMs}, and nothing new is admitted.
 *
 * Rejects with KeyStoreUnavailableError when Valkey does not answer at first.
 *
 * @param onDamaged is told the id of each damaged record, whenever it is met.
 */
export async function openValkeyKeyStore(
  valkey: ValkeyConnection,
  clock: Clock,
  onDamaged: (id: string) => void = () => undefined,
): Promise<ValkeyKeyStore> {
  const generation = await answered(watchKeyGeneration(valkey, clock));

  async function write(script: string, values: readonly string[]): Promise<boolean> {
    const stamp = crypto.randomUUID();
    try {
      const done = await answered(valkey.evaluate(script, [recordsName, stampName], [...values, stamp]));
      if (done === 1) generation.changed(stamp);
      return done === 1;
    } catch (cause) {
      // It may have been carried out.
      generation.changed(null);
      throw cause;
    }
  }

  async function read(id: string): Promise<string | null> {
    const text = await answered(valkey.command(["HGET", recordsName, id]));
    return text === null ? null : String(text);
  }

  function readText(id: string, text: string): KeyRecord | null {
    const record = readKeyRecord(id, text);
    if (record === null) onDamaged(id);
    return record;
  }

  return {
    async find(id) {
      // Whoever acts on a changed record, and closes a socket for it, must find that nothing older is trusted any more.
      const [text] = await Promise.all([read(id), generation.look()]);
      return text === null ? null : readText(id, text);
    },
    async list() {
      const texts = pairsOf(await answered(valkey.command(["HGETALL", recordsName])));
      return texts.flatMap(([id, text]) => readText(id, text) ?? []).toSorted(byCreation);
    },
    async create(record) {
      const isNew = await write(createScript, [record.id, JSON.stringify(record)]);
      if (!isNew) throw new Error("there is a key with this id");
    },
    async update(id, change) {
      for (let attempt = 0; attempt < maxAttempts; attempt++) {
        const before = await read(id);
        if (before === null) return null;
        const next = changeKeyRecord(id, before, change);
        if (await write(replaceScript, [id, before, JSON.stringify(next)])) return next;
      }
      throw new KeyStoreUnavailableError({ cause: new Error("others kept changing the key") });
    },
    async recordUse(uses) {
      for (let start = 0; start < uses.length; start += usesPerScript) {
        const values = uses.slice(start, start + usesPerScript).flatMap(({ id, usedAt }: KeyUse) => [id, usedAt]);
        await answered(valkey.evaluate(useScript, [recordsName, usesName], values));
      }
    },
    async lastUses() {
      const uses = pairsOf(await answered(valkey.command(["HGETALL", usesName])));
      return new Map(uses.map(([id, usedAt]) => [id, Number(usedAt)]));
    },
    generation: () => generation.current(),
    close: () => generation.stop(),
  };
}

async function answered<Answer>(answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (cause) {
    throw cause instanceof ValkeyError ? new KeyStoreUnavailableError({ cause }) : cause;
  }
}

/** Names and values of a hash. */
function pairsOf(reply: ValkeyReply): readonly (readonly [name: string, value: string])[] {
  const words = Array.isArray(reply) ? reply.map(String) : [];
  return words.flatMap((name, index) => (index % 2 === 0 ? [[name, words[index + 1] ?? ""] as const] : []));
}
