/**
 * Gateway keys in Valkey or Redis, which several gateways may share. Records are JSON in one hash. Every change also writes a
 * random stamp in the same step; each gateway reads the stamp once a second, so that it notices a change within five seconds while
 * Valkey responds within two, and also notices that the server lost its last changes.
 *
 * During an outage, keys that were read before stay valid for {@link outageBoundMs}, and no other key is admitted. A process that does not
 * poll trusts its reads for {@link trustMs} only: serverless hosts suspend it between requests, and no timer runs.
 */
import { type Clock, type ValkeyConnection, ValkeyError, type ValkeyReply } from "@letta-environments/platform";
import { changeKeyRecord, type KeyQuery, type KeyRecord, readKeyRecord, summarizeKeys } from "../../keys/key-record.ts";
import { KeyStoreUnavailableError } from "../../keys/key-store-outages.ts";
import type { KeyStore, KeyUse } from "../../ports.ts";
import { searchKeys } from "../key-search.ts";
import { createKeyPlaces, readScript } from "./key-places.ts";
import { refusalOfWrite } from "./refusals.ts";

/** Hash of records in JSON by key id. All names are in one hash slot. */
const recordsName = "{letta-environments:keys}:records";
/** Hash of last uses in epoch milliseconds by key id. */
const usesName = "{letta-environments:keys}:uses";
/** Random text of the last change. */
const stampName = "{letta-environments:keys}:stamp";

/** Keys: records, stamp. Values: id, record, stamp. Returns 1 when the key was added, 0 when the id is taken. */
const createScript = `
if redis.call("HSETNX", KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call("SET", KEYS[2], ARGV[3])
return 1`;

/**
 * Keys: records, stamp. Values: id, record as it was read, new record, stamp. Returns 1, or 0 when the record has changed since.
 *
 * A server over `maxmemory` refuses a script whose first write may need memory. DEL never does, so that keys can be revoked even then. A user without
 * the right to DEL can change keys while there is memory.
 */
const replaceScript = `
if redis.call("HGET", KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.pcall("DEL", KEYS[2])
redis.call("HSET", KEYS[1], ARGV[1], ARGV[3])
redis.call("SET", KEYS[2], ARGV[4])
return 1`;

/** Keys: records, uses. Values: id and time of each use. Later uses stay, and unknown keys are ignored. */
const useScript = `
for i = 1, #ARGV, 2 do
  if redis.call("HEXISTS", KEYS[1], ARGV[i]) == 1 then
    local before = redis.call("HGET", KEYS[2], ARGV[i])
    if not before or tonumber(before) < tonumber(ARGV[i + 1]) then redis.call("HSET", KEYS[2], ARGV[i], ARGV[i + 1]) end
  end
end
return 0`;

/** The most attempts to change a key that others are changing. */
const maxAttempts = 100;
/** Uses that one script writes, since other commands wait for a script. */
const usesPerScript = 500;
/** How often a process polls for changes of others, in milliseconds. */
const pollIntervalMs = 1_000;
/** How long reads are trusted after a poll, in milliseconds. Together with the time of a request, this stays within the promised five seconds. */
const trustMs = 4_000;
/** How long reads are trusted after a poll has begun, in milliseconds. The poll has ended by then, since a command takes at most two seconds. */
const pollTimeoutMs = 3_000;
/** How long polls can extend the trust after the last response, in milliseconds: one slow poll, the pause, and one failed poll. */
const silenceBoundMs = 5_000;
/** How long keys that were read before stay valid while a process polls and Valkey does not respond, in milliseconds. */
const outageBoundMs = 60_000;

export interface ValkeyKeyStore extends KeyStore {
  /** Stops polling. It does not close the connection. */
  close(): void;
}

/**
 * Opens a key store in Valkey. Rejects with KeyStoreUnavailableError when Valkey does not respond.
 *
 * @param onDamaged receives the id of each damaged record, each time it is read.
 */
export async function openValkeyKeyStore(
  valkey: ValkeyConnection,
  clock: Clock,
  onDamaged: (id: string) => void = () => undefined,
): Promise<ValkeyKeyStore> {
  const generation = await translateFailure(watchGeneration(valkey, clock));

  async function write(script: string, values: readonly string[]): Promise<boolean> {
    const stamp = crypto.randomUUID();
    try {
      const done = await valkey.evaluate(script, [recordsName, stampName], [...values, stamp]);
      if (done === 1) generation.noteChange(stamp);
      return done === 1;
    } catch (cause) {
      const isRefused = refusalOfWrite(cause) !== null;
      // Unless it was refused, the script may have run.
      if (!isRefused) generation.noteChange(null);
      throw cause instanceof ValkeyError ? new KeyStoreUnavailableError({ cause, isRefused }) : cause;
    }
  }

  async function read(id: string): Promise<string | null> {
    const text = await translateFailure(valkey.command(["HGET", recordsName, id]));
    return text === null ? null : String(text);
  }

  const places = createKeyPlaces(
    async () => {
      const ids = await translateFailure(valkey.command(["HKEYS", recordsName]));
      return Array.isArray(ids) ? ids.map(String) : [];
    },
    (values) => translateFailure(valkey.evaluate(readScript, [recordsName], values)),
    onDamaged,
  );

  async function list(query?: KeyQuery): Promise<readonly KeyRecord[]> {
    return searchKeys(await places.begin(query?.tenant), query, onDamaged);
  }

  return {
    async find(id) {
      // A caller that acts on a changed record, such as by closing a socket, must not trust older reads: read the stamp too.
      const [text] = await Promise.all([read(id), generation.refresh()]);
      return text === null ? null : readKeyRecord(id, text, onDamaged);
    },
    list,
    summarize: (nowMs) => summarizeKeys(list, nowMs),
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
        await translateFailure(valkey.evaluate(useScript, [recordsName, usesName], values));
      }
    },
    async lastUses() {
      const uses = pairsOf(await translateFailure(valkey.command(["HGETALL", usesName])));
      return new Map(uses.map(([id, usedAt]) => [id, Number(usedAt)]));
    },
    generation: () => generation.current(),
    close: () => generation.stop(),
  };
}

/**
 * The generation of the keys in Valkey. Reads the stamp of the last change once a second. Rejects with ValkeyError when the first read fails:
 * without it, later reads could not be compared with anything.
 */
async function watchGeneration(valkey: ValkeyConnection, clock: Clock) {
  let generation = 0;
  let respondedAt = clock.monotonic();
  let trustedUntil = respondedAt + trustMs;
  /** `undefined` means unknown: any stamp that is read next counts as a change. */
  let stamp: unknown = await valkey.command(["GET", stampName]);
  /** Whether the last poll failed. */
  let isOutage = false;
  let isStopped = false;
  let cancelTimer = clock.setTimer(pollIntervalMs, () => void refreshAgain());

  /**
   * Extends the trust when a poll begins or fails. Once it has ended, only a response restores it: this process was suspended, and nobody
   * knows whether Valkey would have responded.
   */
  function extendTrust(now: number): void {
    if (now > trustedUntil) return;
    const end = isOutage
      ? Math.min(now + trustMs, respondedAt + outageBoundMs)
      : Math.min(now + pollTimeoutMs, respondedAt + silenceBoundMs);
    trustedUntil = Math.max(trustedUntil, end);
  }

  /** Reads the stamp now. It never rejects. */
  async function refresh(): Promise<void> {
    const requestedAt = clock.monotonic();
    // After a slow poll, the remaining trust might end before this poll fails.
    extendTrust(requestedAt);
    try {
      const current = await valkey.command(["GET", stampName]);
      respondedAt = requestedAt;
      trustedUntil = requestedAt + trustMs;
      isOutage = false;
      if (current !== stamp) generation += 1;
      stamp = current;
    } catch {
      // The connection reports its failures. Here they mean an outage.
      isOutage = true;
      extendTrust(clock.monotonic());
    }
  }

  async function refreshAgain(): Promise<void> {
    await refresh();
    if (!isStopped) cancelTimer = clock.setTimer(pollIntervalMs, () => void refreshAgain());
  }

  return {
    refresh,
    /** Synchronous. Returns a new number on every call while reads are not trusted, because Valkey or this process was silent for too long. */
    current(): number {
      if (clock.monotonic() > trustedUntil) generation += 1;
      return generation;
    },
    /** Notes a change by this process; `null` when it is unknown whether the change was made. */
    noteChange(own: string | null): void {
      generation += 1;
      stamp = own ?? undefined;
    },
    stop(): void {
      isStopped = true;
      cancelTimer();
    },
  };
}

async function translateFailure<Result>(response: Promise<Result>): Promise<Result> {
  try {
    return await response;
  } catch (cause) {
    throw cause instanceof ValkeyError ? new KeyStoreUnavailableError({ cause }) : cause;
  }
}

/** Returns the names and values of a hash. */
function pairsOf(reply: ValkeyReply): readonly (readonly [name: string, value: string])[] {
  const words = Array.isArray(reply) ? reply.map(String) : [];
  return words.flatMap((name, index) => (index % 2 === 0 ? [[name, words[index + 1] ?? ""] as const] : []));
}
