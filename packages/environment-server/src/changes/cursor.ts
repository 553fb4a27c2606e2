/**
 * The id of an event: where a reader continues. It names the series of positions, the position, and the time when the event was stored.
 * Readers must not rely on its form.
 */

/** A place between two changes. */
export interface Cursor {
  readonly epoch: string;
  readonly position: number;
  /** When the last change up to here was stored, in epoch milliseconds. */
  readonly atMs: number;
}

/** Where a reader begins: after its last event, at the oldest event that is kept, or (`null`) with what happens from now on. */
export type StartingPoint = Cursor | "oldest" | null;

const pattern = /^([0-9a-f]{16})\.([0-9a-z]{1,10})\.([0-9a-z]{1,10})$/;

/** Writes a cursor as the id of an event. */
export function formatCursor({ epoch, position, atMs }: Cursor): string {
  return `${epoch}.${position.toString(36)}.${Math.max(0, Math.trunc(atMs)).toString(36)}`;
}

/** Reads the id of an event; `null` for any other text. */
export function parseCursor(text: string): Cursor | null {
  const [, epoch, position = "", atMs = ""] = pattern.exec(text) ?? [];
  if (epoch === undefined) return null;
  const cursor = { epoch, position: Number.parseInt(position, 36), atMs: Number.parseInt(atMs, 36) };
  return Number.isSafeInteger(cursor.position) && Number.isSafeInteger(cursor.atMs) ? cursor : null;
}
