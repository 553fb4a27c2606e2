/** Times and durations as users type and read them. Times are epoch milliseconds, durations milliseconds. */

const unitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Reads `500ms`, `30s`, `5m`, `2h`, `1d` or `2w`; `null` for anything else. */
export function parseDuration(text: string): number | null {
  const [, number, unit = ""] = /^(\d{1,9})(ms|s|m|h|d|w)$/.exec(text) ?? [];
  return number === undefined ? null : Number(number) * (unitsMs[unit] ?? Number.NaN);
}

/** The forms that {@link parseTime} reads, in words. */
export const timeForms =
  "a duration such as 30d, 12h or 2w, a date such as 2027-01-31, or a date and time such as 2027-01-31T18:00:00Z";

/**
 * Reads a point in time: a duration is added to `nowMs` (`direction` 1) or subtracted from it (-1); a date is its first moment in UTC; a
 * date and time (RFC 3339) without an offset is in UTC. `null` for anything else, and for dates that do not exist.
 */
export function parseTime(text: string, nowMs: number, direction: 1 | -1): number | null {
  const durationMs = parseDuration(text);
  if (durationMs !== null) return nowMs + direction * durationMs;
  const match = /^(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|z|[+-]\d\d:\d\d)?)?$/.exec(text);
  if (match === null) return null;
  const [, date = "", time = "00:00", offset = "Z"] = match;
  const day = Date.parse(`${date}T00:00Z`);
  // `Date.parse` turns the 31st of a short month into the first of the next one.
  if (Number.isNaN(day) || new Date(day).toISOString().slice(0, 10) !== date) return null;
  const timeMs = Date.parse(`${date}T${time}${offset.toUpperCase()}`);
  return Number.isNaN(timeMs) ? null : timeMs;
}

/** How long ago something was: `now`, `40s ago`, `5m ago`, `3h ago`, `12d ago`. */
export function formatAge(timeMs: number, nowMs: number): string {
  const seconds = Math.floor((nowMs - timeMs) / 1_000);
  if (seconds < 5) return "now";
  if (seconds < 60) return `${seconds}s ago`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h ago`;
  return `${Math.floor(seconds / 86_400)}d ago`;
}

/** RFC 3339 in UTC; a number that is not a time is returned unchanged. */
export function formatTime(timeMs: number): string {
  return Math.abs(timeMs) <= 8.64e15 ? new Date(timeMs).toISOString() : String(timeMs);
}

/** The date in UTC. */
export function formatDate(timeMs: number): string {
  return formatTime(timeMs).slice(0, 10);
}
