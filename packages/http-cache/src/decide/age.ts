import type { HeaderRecord } from "../fields/header-record.ts";
import { parseDeltaSeconds } from "../fields/parse-delta-seconds.ts";
import { parseHttpDate } from "../fields/parse-http-date.ts";
import type { StoredResponse } from "./stored-response.ts";

/** When the upstream was asked and when its answer came, as epoch milliseconds. */
export interface ExchangeTimes {
  readonly requestedAtMs: number;
  readonly receivedAtMs: number;
}

/**
 * How old an answer was when it came, in milliseconds (RFC 9111, 4.2.3). Of an `Age` with several values the first counts; an invalid one
 * is ignored (RFC 9111, 5.1).
 */
export function initialAgeMs(headers: HeaderRecord, { requestedAtMs, receivedAtMs }: ExchangeTimes): number {
  const dateMs = parseHttpDate(headers["date"], receivedAtMs);
  // A date has no parts of a second, so those of the arrival are no age either.
  const receivedSecondMs = receivedAtMs - (receivedAtMs % 1_000);
  const apparentAgeMs = dateMs === null ? 0 : Math.max(0, receivedSecondMs - dateMs);
  const ageSeconds = parseDeltaSeconds((headers["age"] ?? "").split(",", 1)[0]?.trim() ?? "") ?? 0;
  const responseDelayMs = Math.max(0, receivedAtMs - requestedAtMs);
  return Math.max(apparentAgeMs, ageSeconds * 1_000 + responseDelayMs);
}

/** How old a stored answer is now, in milliseconds. */
export function currentAgeMs({ initialAgeMs: initial, receivedAtMs }: StoredResponse, nowMs: number): number {
  return initial + Math.max(0, nowMs - receivedAtMs);
}

/** True when the clock shows a time well before the answer came: then its age is not known, and only the origin can tell whether it is fresh. */
export function isClockBehind({ receivedAtMs }: StoredResponse, nowMs: number): boolean {
  return nowMs < receivedAtMs - 1_000;
}
