/**
 * Counts the memory of WebSockets: unfinished frames, which a WebSocket library buffers until their last byte has arrived, and
 * frames that wait until the device reads them. The library's own limits are fixed and for one socket. These are for the sockets
 * of one owner and for all together; when they are exceeded, the largest socket of an owner with too much is dropped.
 */
import { createMemoryBudget, type MemoryLimit, type MemoryLimits } from "@letta-environments/environment-server";

/** The memory of all sockets. */
export interface FrameBudget {
  /** Starts counting for a socket. `drop` is called, once, when the socket has to go. */
  open(owner: string, drop: (limit: MemoryLimit) => void): SocketBudget;
}

/** The memory of one socket. */
export interface SocketBudget {
  /** Bytes that were received after the last complete frame, exact to one chunk. */
  readonly unfinishedBytes: number;
  /** Bytes of frames that wait to be written, without overhead. */
  readonly waitingBytes: number;
  /** Call it with the size of each chunk, before the library handles the chunk. */
  received(byteCount: number): void;
  /** Call it with the payload size of each frame that the library hands over. */
  completed(payloadBytes: number): void;
  /** Call it before a frame is written. Call the result when it was. */
  waiting(byteCount: number): () => void;
  /** Forgets the socket. Nothing is counted from then on. */
  close(): void;
  readonly isClosed: boolean;
}

/** Shortest header of a frame from a client (RFC 6455 section 5.2): two bytes and the masking key. */
const minHeaderBytes = 6;

/** Memory that a buffered chunk or a waiting frame takes besides its bytes, at most, as measured on Node.js. */
const overheadBytes = 512;

/** Creates a {@link FrameBudget}. */
export function createFrameBudget(limits: MemoryLimits): FrameBudget {
  const budget = createMemoryBudget(limits);
  return {
    open(owner, drop) {
      let unfinished = { bytes: 0, chunks: 0 };
      let queued = { bytes: 0, frames: 0 };
      let lastChunkBytes = 0;
      let isClosed = false;
      const close = (): void => {
        isClosed = true;
        account.close();
        unfinished = { bytes: 0, chunks: 0 };
        queued = { bytes: 0, frames: 0 };
      };
      const account = budget.open(owner, (limit) => {
        close();
        drop(limit);
      });
      const count = (): void =>
        account.resize(unfinished.bytes + queued.bytes + overheadBytes * (unfinished.chunks + queued.frames));
      return {
        get unfinishedBytes() {
          return unfinished.bytes;
        },
        get waitingBytes() {
          return queued.bytes;
        },
        get isClosed() {
          return isClosed;
        },
        received(byteCount) {
          if (isClosed) return;
          lastChunkBytes = byteCount;
          unfinished = { bytes: unfinished.bytes + byteCount, chunks: unfinished.chunks + 1 };
          count();
        },
        completed(payloadBytes) {
          if (isClosed) return;
          // What follows a complete frame is in the last chunk. This keeps estimates of headers from adding up.
          const rest = Math.max(0, Math.min(lastChunkBytes, unfinished.bytes - payloadBytes - minHeaderBytes));
          unfinished = { bytes: rest, chunks: rest > 0 ? 1 : 0 };
          count();
        },
        waiting(byteCount) {
          queued = { bytes: queued.bytes + byteCount, frames: queued.frames + 1 };
          if (!isClosed) count();
          return () => {
            if (isClosed) return;
            queued = { bytes: queued.bytes - byteCount, frames: queued.frames - 1 };
            count();
          };
        },
        close,
      };
    },
  };
}
