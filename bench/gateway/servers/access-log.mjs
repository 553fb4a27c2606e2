/** The request log of the peers: lines in memory, written to /dev/null 64 KiB at a time, which is the cheapest way there is. */
import { openSync, writeSync } from "node:fs";

const file = openSync("/dev/null", "w");
const flushLength = 65_536;
let waiting = "";

/** Adds a line. */
export function writeLine(line) {
  waiting += `${line}\n`;
  if (waiting.length < flushLength) return;
  writeSync(file, waiting);
  waiting = "";
}

/** Adds a line about a request that has been answered; `startedAt` is in milliseconds of `performance.now()`. */
export function logRequest(method, url, status, startedAt) {
  const ms = Math.round((performance.now() - startedAt) * 1_000) / 1_000;
  writeLine(JSON.stringify({ time: new Date().toISOString(), method, url, status, ms }));
}
