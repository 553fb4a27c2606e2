/**
 * Frames that real devices of several versions exchanged with a server, recorded on the day that each file names. They are the
 * evidence for the protocol in `dialects/` of the environment server. Each line is a frame; the first one describes the
 * recording.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Frame } from "./frame-log.ts";

/** A recording. Statuses keep only the members that the server could use. */
export interface Recording {
  /** Version of the device program, such as `0.32.18`. */
  readonly version: string;
  /** Day of the recording, such as `2026-11-26`. */
  readonly recordedOn: string;
  /** The backend that ran the turns. */
  readonly backend: string;
  /** Body of the device's registration. */
  readonly registration: Readonly<Record<string, unknown>>;
  /** In the order in which they passed. */
  readonly frames: readonly RecordedFrame[];
}

/** A frame of a recording. */
export type RecordedFrame = { readonly toDevice: Frame } | { readonly fromDevice: Frame };

/** The recordings, by the names of their files in `recordings/`. */
export const recordingNames = [
  "0.22.4-queue",
  "0.22.4-several-messages",
  "0.22.4-turn-fails",
  "0.25.9-approval",
  "0.25.9-several-messages",
  "0.25.9-turn-fails",
  "0.30.28-turn",
  "0.32.18-approval-and-abort",
  "0.32.18-approval-and-queue",
  "0.32.18-approval-and-reconnect",
  "0.32.18-full-queue",
  "0.32.18-several-messages",
  "0.32.18-turn",
  "0.32.18-turn-fails",
] as const;

/** Reads a recording. */
export function readRecording(name: (typeof recordingNames)[number]): Recording {
  const text = readFileSync(resolve(import.meta.dirname, `../recordings/${name}.jsonl`), "utf8");
  const [header, ...frames] = text
    .trim()
    .split("\n")
    .map((line): unknown => JSON.parse(line));
  return { ...(header as Omit<Recording, "frames">), frames: frames as RecordedFrame[] };
}
