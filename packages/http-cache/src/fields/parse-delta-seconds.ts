/** The largest number of seconds that is told apart; larger ones mean the same (RFC 9111, 1.2.2). */
export const maximumSeconds = 2_147_483_648;

/** A number of seconds in digits; `null` for anything else (RFC 9111, 1.2.2). */
export function parseDeltaSeconds(value: string): number | null {
  return /^[0-9]+$/.test(value) ? Math.min(Number(value), maximumSeconds) : null;
}
