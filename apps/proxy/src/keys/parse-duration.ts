const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Longest duration: a hundred years, so that an expiry is always a date. */
export const maxDurationMs: number = 36_525 * 86_400_000;

/** Reads `30d`, `12h`, `15m` or `30s` into milliseconds; `null` for anything else, and for more than a hundred years. */
export function parseDuration(text: string): number | null {
  const [, amount, unit = ""] = /^([0-9]{1,9})([smhd])$/.exec(text) ?? [];
  const durationMs = Number(amount) * (unitMs[unit] ?? Number.NaN);
  return durationMs <= maxDurationMs ? durationMs : null;
}
