import { misuse } from "../command-error.ts";

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** Longest delay of a timer, 24 days. */
const maxMs = 2 ** 31 - 1;

/** Reads `500ms`, `30s`, `5m`, `2h` or `1d` as milliseconds. @throws CommandError naming the option. */
export function parseDuration(option: string, text: string): number {
  const [, number = "", unit = ""] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  const durationMs = Number(number) * (unitsMs[unit] ?? Number.NaN);
  if (durationMs >= 1 && durationMs <= maxMs) return durationMs;
  throw misuse(`${option} must be a duration from 1ms to 24d, such as 30s, 5m or 2h`);
}
