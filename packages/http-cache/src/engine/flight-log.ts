/** A request that is with the origin. */
export interface LoggedFlight {
  /** True when what it asked for was invalidated since it left: its answer may be from before. */
  isOutdated(groups: readonly string[]): boolean;
  end(): void;
}

/** Knows which requests are with the origin, so that an answer that left before a change is not stored after it. */
export interface FlightLog {
  begin(key: string): LoggedFlight;
  invalidateKey(key: string): void;
  invalidateGroup(group: string): void;
}

interface Entry {
  readonly key: string;
  isOutdated: boolean;
  readonly groups: Set<string>;
}

/** Creates an empty {@link FlightLog}. It holds no more than what is under way. */
export function createFlightLog(): FlightLog {
  const entries = new Set<Entry>();
  return {
    begin(key) {
      const entry: Entry = { key, isOutdated: false, groups: new Set() };
      entries.add(entry);
      return {
        isOutdated: (groups) => entry.isOutdated || groups.some((group) => entry.groups.has(group)),
        end: () => void entries.delete(entry),
      };
    },
    invalidateKey(key) {
      for (const entry of entries) if (entry.key === key) entry.isOutdated = true;
    },
    invalidateGroup(group) {
      for (const entry of entries) entry.groups.add(group);
    },
  };
}
