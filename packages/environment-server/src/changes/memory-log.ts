import {
  type ChangeLimits,
  type ChangeLog,
  type ChangeLogState,
  type ChangePage,
  type ChangeRecording,
  type ChangeSelection,
  formerOfNext,
  sizeOfChange,
  type StoredChange,
} from "../change-log.ts";
import { changeLimits, changePageLimits } from "../limits.ts";

/** Creates a {@link ChangeLog} that lasts as long as the process. `epoch` has 16 lower-case hexadecimal digits. */
export function createMemoryChangeLog(epoch: string, limits: ChangeLimits = changeLimits): ChangeLog {
  let state: ChangeLogState = { epoch, lastPosition: 0, removedThrough: 0, outputRemovedThrough: 0, former: [] };
  const recordings = new Map<string, ChangeRecording>();
  const logs = { events: new Map<number, StoredChange>(), output: new Map<number, StoredChange>() };
  const sizes = { events: 0, output: 0 };
  type Part = keyof typeof logs;

  const partOf = ({ kind }: Pick<StoredChange, "kind">): Part => (kind === "output" ? "output" : "events");

  function remove(part: Part, change: StoredChange): void {
    logs[part].delete(change.position);
    sizes[part] -= sizeOfChange(change);
    const { position } = change;
    state = { ...state, ...(part === "output" ? { outputRemovedThrough: position } : { removedThrough: position }) };
  }

  function removeWhile(part: Part, mustGo: (change: StoredChange) => boolean, limit: number): number {
    let count = 0;
    for (const change of logs[part].values()) {
      if (count >= limit || !mustGo(change)) break;
      remove(part, change);
      count += 1;
    }
    return count;
  }

  return {
    async appendChanges(changes, nowMs, newEpoch = state.epoch) {
      if (newEpoch !== state.epoch) state = { ...state, epoch: newEpoch, former: formerOfNext(state) };
      const first = state.lastPosition + 1;
      for (const [index, change] of changes.entries()) {
        const part = partOf(change);
        const position = first + index;
        logs[part].set(position, { ...change, position, storedAt: nowMs });
        sizes[part] += sizeOfChange(change);
      }
      state = { ...state, lastPosition: state.lastPosition + changes.length };
      for (const part of ["events", "output"] as const)
        removeWhile(part, () => sizes[part] > limits[part].maxSize, Number.POSITIVE_INFINITY);
      return { first, epoch: newEpoch };
    },
    async readChanges({ tenant, after, includesOutput, deviceIds }: ChangeSelection): Promise<ChangePage> {
      const all = [...logs.events.values(), ...(includesOutput ? logs.output.values() : [])]
        .filter((change) => change.tenant === tenant && change.position > after)
        .filter((change) => deviceIds === null || deviceIds.includes(change.deviceId))
        .toSorted((left, right) => left.position - right.position);
      return toPage(all, after, state);
    },
    readChangeLog: () => Promise.resolve(state),
    async restartChangeLog(next) {
      for (const part of ["events", "output"] as const) {
        logs[part].clear();
        sizes[part] = 0;
      }
      const { lastPosition } = state;
      state = {
        epoch: next,
        lastPosition,
        removedThrough: lastPosition,
        outputRemovedThrough: lastPosition,
        former: [],
      };
    },
    async listRecordings() {
      return [...recordings.values()];
    },
    async saveRecording(recording) {
      recordings.set(recording.tenant, recording);
    },
    async pruneChanges(nowMs, limit) {
      let removed = 0;
      for (const part of ["events", "output"] as const)
        removed += removeWhile(part, ({ storedAt }) => storedAt <= nowMs - limits[part].durationMs, limit);
      for (const { tenant, untilMs } of recordings.values()) if (untilMs <= nowMs) recordings.delete(tenant);
      return removed >= limit;
    },
  };
}

/** Returns the first page of the changes that match: as many as `changePageLimits` permits. */
function toPage(all: readonly StoredChange[], after: number, { lastPosition, ...rest }: ChangeLogState): ChangePage {
  const changes: StoredChange[] = [];
  let size = 0;
  for (const change of all) {
    size += sizeOfChange(change);
    if (changes.length >= changePageLimits.changes || (changes.length > 0 && size > changePageLimits.size)) break;
    changes.push(change);
  }
  const hasMore = changes.length < all.length;
  const through = hasMore ? (changes.at(-1)?.position ?? after) : Math.max(after, lastPosition);
  return { changes, through, hasMore, ...rest };
}
