/** The preference `wait` of the request header `Prefer` (RFC 7240 section 4.3): how long a caller is willing to wait. */

/** Longest time for which a request may wait for the end of a message, in seconds. */
export const maxWaitSeconds = 60;

/** Seconds that a request waits if it does not say how long. */
export const defaultWaitSeconds = 30;

/** Limits a preferred wait, in seconds, to {@link maxWaitSeconds}. */
export function limitWait(seconds: number): number {
  return Math.min(seconds, maxWaitSeconds);
}

/** Name of the header. */
export const preferHeader = "prefer";

/**
 * Returns the seconds of the preference `wait`, at most {@link maxWaitSeconds}; `null` without it. As the RFC requires, a
 * preference that is not understood is ignored, and the first of a repeated one counts.
 */
export function readPreferredWait(header: string | null | undefined): number | null {
  // The rest of a longer value is not read: only one preference matters here. A comma in a quoted string is not a separator.
  for (const [preference] of (header ?? "").slice(0, 1_024).matchAll(/(?:[^",]|"(?:[^"\\]|\\.)*"?)+/g)) {
    const match = /^[ \t]*wait[ \t]*=[ \t]*("?)(\d{1,9})\1[ \t]*(?:;.*)?$/i.exec(preference);
    if (match !== null) return limitWait(Number(match[2]));
  }
  return null;
}

/** Returns the header that says that a wait was used (RFC 7240 section 3). */
export function waitApplied(seconds: number): Readonly<Record<string, string>> {
  return { "preference-applied": `wait=${seconds}` };
}
