/** Records frames of a device socket, so that a test can wait for one. Meanings of frames are not known here. */
import type { RawData } from "ws";

/** A frame of a device socket: an object with a `type`, as JSON. */
export type Frame = Readonly<Record<string, unknown>> & { readonly type?: unknown };

/** Frames in their order of arrival, with a way to wait for one. */
export interface FrameLog {
  readonly frames: readonly Frame[];
  add(frame: Frame): void;
  /**
   * Resolves with the first frame, past or future, for which `test` returns true.
   * @throws Error that lists the frame types seen, when none arrives in time.
   */
  waitFor(test: (frame: Frame) => boolean, timeoutMs?: number): Promise<Frame>;
}

/** Creates an empty {@link FrameLog}. */
export function createFrameLog(): FrameLog {
  const frames: Frame[] = [];
  const listeners = new Set<(frame: Frame) => void>();
  return {
    frames,
    add(frame) {
      frames.push(frame);
      for (const listener of listeners) listener(frame);
    },
    waitFor(test, timeoutMs = 20_000) {
      const past = frames.find(test);
      if (past !== undefined) return Promise.resolve(past);
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          listeners.delete(look);
          const types = frames.map((frame) => String(frame.type)).join(", ");
          reject(new Error(`no such frame in ${timeoutMs} ms; seen: ${types}`));
        }, timeoutMs);
        const look = (frame: Frame): void => {
          if (!test(frame)) return;
          clearTimeout(timer);
          listeners.delete(look);
          resolve(frame);
        };
        listeners.add(look);
      });
    },
  };
}

/** Reads a frame; `null` when it is not a JSON object. */
export function parseFrame(data: RawData): Frame | null {
  const bytes = Array.isArray(data) ? Buffer.concat(data) : new Uint8Array(data);
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}
