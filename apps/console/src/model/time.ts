/** Times and durations for people. */

/** A duration, such as `3 s` or `2 h 5 min`. */
export function durationText(durationMs: number): string {
  const seconds = Math.max(0, durationMs) / 1_000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} days`;
}

/** How long ago a time was, such as `5 min ago`. */
export function agoText(timeMs: number, nowMs: number): string {
  const passedMs = nowMs - timeMs;
  return passedMs < 5_000 ? "just now" : `${durationText(passedMs).replace(/^(\d+)\.\d s$/, "$1 s")} ago`;
}

/** Creating a format costs more than drawing the rest of a row, so every date uses the same one. */
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** A date with the time, in the language of the browser. Empty for a time that no calendar has. */
export function dateText(timeMs: number, format = dateFormat): string {
  return Number.isNaN(new Date(timeMs).getTime()) ? "" : format.format(timeMs);
}
