/** HTTP dates: parsed strictly in all their formats, and written in the current one. */

const months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
// Literals, so that bundlers can drop them if no date is parsed.
const fixdate =
  /^(?:mon|tue|wed|thu|fri|sat|sun), ([0-9]{2}) ([a-z]{3}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) gmt$/i;
const rfc850 =
  /^(?:mon|tues|wednes|thurs|fri|satur|sun)day, ([0-9]{2})-([a-z]{3})-([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) gmt$/i;
const asctime =
  /^(?:mon|tue|wed|thu|fri|sat|sun) ([a-z]{3}) ([0-9]{2}| [0-9]) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([0-9]{4})$/i;

/**
 * Parses an HTTP date in any of its three formats and any letter case (RFC 9110, 5.6.7).
 *
 * @param nowMs decides the century of a two-digit year: a date more than 50 years in the future is in the past.
 * @returns epoch milliseconds; `null` for anything else, including time zones other than GMT
 */
export function parseHttpDate(value: string | undefined, nowMs: number): number | null {
  if (value === undefined) return null;
  const usual = fixdate.exec(value);
  if (usual !== null) return dateOf(usual[3], usual[2], usual[1], usual.slice(4, 7));
  const ansi = asctime.exec(value);
  if (ansi !== null) return dateOf(ansi[6], ansi[1], ansi[2], ansi.slice(3, 6));
  const old = rfc850.exec(value);
  if (old === null) return null;
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + Number(old[3]);
  return dateOf(String(year > thisYear + 50 ? year - 100 : year), old[2], old[1], old.slice(4, 7));
}

function dateOf(
  year: string | undefined,
  monthName: string | undefined,
  day: string | undefined,
  clock: readonly string[],
): number | null {
  const [hour = 0, minute = 0, second = 0] = clock.map(Number);
  const monthIndex = months.indexOf((monthName ?? "").toLowerCase());
  if (monthIndex === -1) return null;
  const midnight = new Date(0);
  midnight.setUTCFullYear(Number(year), monthIndex, Number(day));
  // 60 is a leap second.
  if (midnight.getUTCDate() !== Number(day) || hour > 23 || minute > 59 || second > 60) return null;
  return midnight.getTime() + ((hour * 60 + minute) * 60 + second) * 1_000;
}

// Thousands of responses may arrive in a second, and all of them get the same date.
let formattedSecond = Number.NaN;
let formatted = "";

/** Formats a time in epoch milliseconds as an HTTP date. */
export function formatHttpDate(atMs: number): string {
  const second = Math.floor(atMs / 1_000);
  if (second !== formattedSecond) {
    formatted = new Date(atMs).toUTCString();
    formattedSecond = second;
  }
  return formatted;
}
