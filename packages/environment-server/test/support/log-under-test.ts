import type { SeparateLog } from "../../src/index.ts";

/** A log, and what else its contract suite does with its store. */
export interface LogUnderTest<Log> {
  readonly log: Log;
  /** Removes a row and what belongs to it. */
  removeRow(environmentId: string): Promise<void>;
}

/** A log that is not in the store of the rows. */
export function separateLog<Log extends SeparateLog>(log: Log): LogUnderTest<Log> {
  return {
    log,
    removeRow: (environmentId) => log.removeRows([environmentId]),
  };
}
