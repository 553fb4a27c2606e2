/**
 * {@link ChangeLog} in Valkey or Redis: a stream of events and a stream of output, whose ids are the positions, a hash with the last
 * position, the sizes and the name of the series, and a list of the former series.
 *
 * One server writes to a log. The last one that began to append takes over, and appends of an earlier one are refused: positions are the
 * order in which a server has published its changes. An append without a reply may have run, so the next one removes its entries. Until
 * then the writer skips them, because a reader would receive them twice.
 */
import type { ValkeyConnection, ValkeyReply } from "@letta-environments/platform";
import {
  type ChangeKind,
  type ChangeLog,
  type ChangeLimits,
  type ChangeLogState,
  type ChangePage,
  type ChangeRecording,
  type ChangeSelection,
  ChangesLostError,
  type FormerSeries,
  type NewChange,
  sizeOfChange,
  type StoredChange,
} from "../change-log.ts";
import { changeLimits, changePageLimits } from "../limits.ts";
import {
  appendScript,
  claimScript,
  pruneScript,
  readPageScript,
  readStateScript,
  recordingsScript,
  restartScript,
  saveRecordingScript,
} from "./change-scripts.ts";
import { createRunScript, readRows, type RunScript, unexpectedReply, type ValkeyLogOptions } from "./scripts.ts";

/** Options of {@link createValkeyChangeLog}. */
export interface ValkeyChangeLogOptions extends ValkeyLogOptions<ChangeLimits> {
  /** Returns a new name for a series of positions each time: at least 16 lower-case hexadecimal digits that nobody can guess. */
  readonly newEpoch: () => string;
}

/** Creates a {@link ChangeLog}. Its promises reject with a `ValkeyError` while the server does not respond. */
export function createValkeyChangeLog(
  connection: ValkeyConnection,
  { newEpoch, limits = changeLimits, ...options }: ValkeyChangeLogOptions,
): ChangeLog {
  const run = createRunScript(connection, "changes", options);
  const writer = newEpoch();
  let appends = 0;
  /** The last position that is confirmed; `null` before this log is the writer. */
  let confirmed: number | null = null;
  /** The last position that was read. A shorter log has lost changes since. */
  let seen = 0;

  const readState = async (): Promise<ChangeLogState> => {
    const state = toState(await run(readStateScript, [newEpoch(), writer, confirmed ?? ""]));
    if (confirmed === null) seen = Math.max(seen, state.lastPosition);
    return state;
  };

  return {
    async appendChanges(changes, nowMs, nextEpoch = "") {
      confirmed ??= Math.max(seen, Number(await run(claimScript, [writer, newEpoch()])));
      appends += 1;
      const values = [writer, appends, confirmed, nowMs, limits.events.maxSize, limits.output.maxSize, nextEpoch];
      const reply = await run(appendScript, [...values, ...changes.flatMap(writeChange)]);
      if (reply === "lost") throw new ChangesLostError("the server has lost the last changes");
      if (reply === "taken") throw takenError();
      const [first, epoch] = Array.isArray(reply) ? reply : [];
      if (typeof first !== "number" || typeof epoch !== "string") throw unexpectedReply();
      confirmed = first + changes.length - 1;
      return { first, epoch };
    },
    readChanges: (selection) => readChanges(run, selection, [writer, confirmed ?? ""]),
    readChangeLog: readState,
    async restartChangeLog(epoch) {
      appends += 1;
      const reply = await run(restartScript, [epoch, writer, appends, confirmed ?? ""]);
      if (reply === "taken") throw takenError();
      confirmed = Number(reply);
    },
    listRecordings: async () => readRows(await run(recordingsScript, []), 2).map(readRecording),
    async saveRecording({ tenant, untilMs, outputSinceMs, outputUntilMs }) {
      await run(saveRecordingScript, [tenant, [untilMs, outputSinceMs, outputUntilMs].join(" ")]);
    },
    pruneChanges: async (nowMs, limit) => {
      const { events, output } = limits;
      return (await run(pruneScript, [nowMs, limit, nowMs - events.durationMs, nowMs - output.durationMs])) === 1;
    },
  };
}

function takenError(): Error {
  return new Error("another server writes to the log of changes");
}

/** One script reads a page, so no change is removed while it is read. `writer` includes its last confirmed position. */
async function readChanges(
  run: RunScript,
  { tenant, after, includesOutput, deviceIds }: ChangeSelection,
  writer: readonly (string | number)[],
): Promise<ChangePage> {
  const { changes: maxChanges, size: maxSize, examined: maxExamined } = changePageLimits;
  const limits = [includesOutput ? 1 : 0, maxChanges, maxSize, maxExamined];
  const devices = [deviceIds === null ? 1 : 0, ...(deviceIds ?? [])];
  const reply = await run(readPageScript, [after, tenant, ...limits, ...writer, ...devices]);
  const [epoch, former, through, hasMore, events, output, entries = []] = Array.isArray(reply) ? reply : [];
  return {
    epoch: String(epoch),
    former: readFormer(String(former)),
    changes: readRows(entries, 4).map((entry) => readChange(entry, tenant)),
    through: Number(through),
    hasMore: hasMore === 1,
    removedThrough: Number(events),
    outputRemovedThrough: Number(output),
  };
}

type Rest = Omit<NewChange, "tenant" | "deviceId" | "data">;

function writeChange({ tenant, deviceId, data, ...rest }: NewChange): readonly (string | number)[] {
  const { kind, environmentId, connectionName, tags, agentId } = rest;
  const text = JSON.stringify({ kind, environmentId, connectionName, tags, agentId } satisfies Rest);
  const size = sizeOfChange({ tenant, deviceId, data, ...rest });
  return [kind === "output" ? "output" : "events", size, tenant, deviceId, `${text}\n${data}`];
}

function readChange([position, storedAt, deviceId = "", text = ""]: readonly string[], tenant: string): StoredChange {
  const end = text.indexOf("\n");
  // Only this file writes changes.
  const rest = JSON.parse(text.slice(0, end)) as Rest & { readonly kind: ChangeKind };
  return {
    ...rest,
    tenant,
    deviceId,
    data: text.slice(end + 1),
    position: Number(position),
    storedAt: Number(storedAt),
  };
}

function toState(reply: ValkeyReply): ChangeLogState {
  const [state] = readRows(reply, 5);
  if (state === undefined) throw unexpectedReply();
  const [epoch = "", lastPosition, removedThrough, outputRemovedThrough, former = ""] = state;
  return {
    epoch,
    lastPosition: Number(lastPosition),
    removedThrough: Number(removedThrough),
    outputRemovedThrough: Number(outputRemovedThrough),
    former: readFormer(former),
  };
}

function readFormer(text: string): readonly FormerSeries[] {
  return [...text.matchAll(/(\S+) (\d+)/g)].map(([, epoch = "", last]) => ({ epoch, lastPosition: Number(last) }));
}

function readRecording([tenant = "", text = ""]: readonly string[]): ChangeRecording {
  const [untilMs = 0, outputSinceMs = 0, outputUntilMs = 0] = text.split(" ").map(Number);
  return { tenant, untilMs, outputSinceMs, outputUntilMs };
}
