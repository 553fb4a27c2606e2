/**
 * Ids of events of the last hours, kept in this browser. A view that opens continues behind the oldest one, so that it shows what happened
 * before. An id says nothing about what happened.
 */
import { now, store, stored } from "../platform/browser.ts";

/** Checkpoints are apart by this time, in milliseconds. */
const distanceMs = 5 * 60_000;
/** Events are kept for a day. */
const maxAgeMs = 23 * 3_600_000;

type Checkpoint = readonly [timeMs: number, id: string];

function read(): readonly Checkpoint[] {
  const value = stored("checkpoints");
  if (!Array.isArray(value)) return [];
  return value.filter(
    (each: unknown): each is Checkpoint =>
      Array.isArray(each) && typeof each[0] === "number" && typeof each[1] === "string" && each[0] > now() - maxAgeMs,
  );
}

let latestMs = 0;

/** Notes the id of an event. */
export function noteEvent(id: string): void {
  if (id === "" || now() - latestMs < distanceMs) return;
  latestMs = now();
  const present = read();
  const last = present.at(-1);
  if (last !== undefined && latestMs - last[0] < distanceMs) return;
  store("checkpoints", [...present, [latestMs, id]].slice(-300));
}

/** The oldest known event within this time, in milliseconds; `null`: none is known. */
export function oldestEvent(withinMs: number): string | null {
  return read().find(([timeMs]) => timeMs > now() - withinMs)?.[1] ?? null;
}

/** Forgets every id, because the gateway no longer knows them. */
export function forgetEvents(): void {
  latestMs = 0;
  store("checkpoints", []);
}
