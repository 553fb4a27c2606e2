/**
 * Names, scripts and replies of the logs in Valkey. Each method of a log is one script, which the server runs atomically. The names of
 * a log begin with a hash tag, so all of them are in one slot of a cluster; a script receives the prefix and adds the rest.
 */
import type { ValkeyConnection, ValkeyReply } from "@letta-environments/platform";

/** Options of a log in Valkey. */
export interface ValkeyLogOptions<Limits> {
  /** Separates deployments that share a server. Default: `letta-environments`. */
  readonly prefix?: string;
  /** How long a call waits for its reply, in milliseconds. Default: the timeout of the connection. */
  readonly timeoutMs?: number;
  /** Default: the limits in README.md. */
  readonly limits?: Limits;
}

/** Runs a script of a log and resolves with its reply. */
export type RunScript = (script: string, values: readonly (string | number)[]) => Promise<ValkeyReply>;

/** Creates {@link RunScript} for the log with a name, such as `messages`. */
export function createRunScript(
  connection: ValkeyConnection,
  name: string,
  { prefix = "letta-environments", timeoutMs }: Pick<ValkeyLogOptions<unknown>, "prefix" | "timeoutMs">,
): RunScript {
  const key = `{${prefix}:${name}}`;
  const options = timeoutMs === undefined ? undefined : { timeoutMs };
  return (script, values) => connection.evaluate(script, [key], values, options);
}

/** Reply of a script that saved nothing, because a save with a later number was stored before. */
const overtaken = "overtaken";

/**
 * Runs a script that begins with {@link savePrelude}. A save that fails must be repeated, unless a later one replaces it. Saves of the same entry
 * must not overlap.
 */
export function createRunSave(run: RunScript): RunScript {
  const writer = crypto.randomUUID();
  let saves = 0;
  return async function save(script, values): Promise<ValkeyReply> {
    const reply = await run(script, [writer, ++saves, ...values]);
    // The server did not have the script, so this save was sent twice, and one of other entries overtook it. After a lost connection, nobody reads
    // this reply, so a late save is not repeated.
    return reply === overtaken ? save(script, values) : reply;
  };
}

/** Maximum number of entries that one call of a script removes or changes, since other commands wait for a script. */
export const entriesPerScript = 500;

/** Repeats a script that handles {@link entriesPerScript} entries and returns how many it found, until none are left. */
export async function repeatScript(run: () => Promise<ValkeyReply>): Promise<void> {
  while (Number(await run()) >= entriesPerScript);
}

/** Splits a reply that is a list of `width` texts for each entry. */
export function readRows(reply: ValkeyReply, width: number): readonly (readonly string[])[] {
  if (!Array.isArray(reply) || reply.length % width !== 0) throw unexpectedReply();
  const texts = reply.map(String);
  return Array.from({ length: texts.length / width }, (_, index) => texts.slice(index * width, (index + 1) * width));
}

/** Returns the error for a reply that no script returns. */
export function unexpectedReply(): Error {
  return new Error("a script of a log returned an unexpected reply");
}

/**
 * Begins the scripts of logs with rows. An entry is a JSON array: the id of its row, then the texts that distinguish it from other entries
 * of the row. `names` has all entries in byte order, so that entries with the same prefix are together. `removedRows` has the rows that
 * were removed in the last hour.
 */
export const rowPrelude = `
local base = KEYS[1]
local records, names, removedRows = base .. ':record', base .. ':names', base .. ':removed-rows'
local function startingWith(beginning, ...)
  return redis.call('ZRANGEBYLEX', names, '[' .. beginning, '[' .. beginning .. '\\255', ...)
end
local function rowOf(entry) return string.match(entry, '^%["(.-)",') end
local function noteRemoved(row)
  local time = tonumber(redis.call('TIME')[1])
  redis.call('ZREMRANGEBYSCORE', removedRows, '-inf', time - 3600)
  redis.call('ZADD', removedRows, time, row)
end
local function isRemoved(row) return redis.call('ZSCORE', removedRows, row) end
`;

/**
 * Follows the prelude of scripts that save entries. ARGV: the writer, and the number of the save. A save that was on its way when its connection was
 * lost can arrive after its repetition, so one with an earlier number than the last saves nothing.
 */
export const savePrelude: string = `
local saves = base .. ':saves:' .. ARGV[1]
if tonumber(ARGV[2]) <= tonumber(redis.call('GET', saves) or '0') then
  return '${overtaken}'
end
redis.call('SET', saves, ARGV[2], 'PX', 3600000)
`;

/** A row in scripts: its id as it is in JSON, so that scripts can read it from an entry. */
export function rowText(environmentId: string): string {
  return JSON.stringify(environmentId).slice(1, -1);
}

/** Returns the prefix of the entries that begin with these texts. */
export function beginningOf(...texts: readonly string[]): string {
  return `${JSON.stringify(texts).slice(0, -1)},`;
}
