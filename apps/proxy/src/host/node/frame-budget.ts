/**
 * Counts the memory of WebSockets: unfinished frames, which a WebSocket library buffers until their last byte has arrived, and
 * frames that wait until the device reads them. The library's own limits are fixed and apply to one socket. These apply to the
 * sockets of one owner, and to all sockets; when one is exceeded, the largest socket of an owner that uses too much is dropped.
 */
import {
  createMemoryBudget,
  type MemoryAccount,
  type MemoryLimit,
  type MemoryLimits,
} from "@letta-environments/environment-server";

/** The memory of all sockets. */
export interface FrameBudget {
  /** Starts counting for a socket. `drop` is called once if the socket must be dropped. */
  open(owner: string, drop: (limit: MemoryLimit) => void): SocketBudget;
  /** Call it with the size of each chunk, before the library handles the chunk. */
  addChunk(socket: SocketBudget, byteCount: number): void;
  /** Call it with the payload size of each frame that the library hands over. */
  completeFrame(socket: SocketBudget, payloadBytes: number): void;
  /** Call it before a frame is written. Call the returned function afterwards. */
  addWaitingFrame(socket: SocketBudget, byteCount: number): () => void;
  /** Forgets the socket. Nothing is counted from then on. */
  close(socket: SocketBudget): void;
}

/** The memory of one socket. There are many, so it has no methods. */
export interface SocketBudget {
  /** Bytes that were received after the last complete frame, exact to one chunk. */
  readonly unfinishedBytes: number;
  /** Bytes of frames that wait to be written, without overhead. */
  readonly waitingBytes: number;
  readonly isClosed: boolean;
}

interface Counted extends SocketBudget {
  unfinishedBytes: number;
  unfinishedChunks: number;
  waitingBytes: number;
  waitingFrames: number;
  lastChunkBytes: number;
  /** `null` when it is closed. */
  account: MemoryAccount | null;
}

/** Shortest header of a frame from a client (RFC 6455 section 5.2): two bytes and the masking key. */
const minHeaderBytes = 6;

/** Memory that a buffered chunk or a waiting frame takes besides its bytes, at most, as measured on Node.js. */
const overheadBytes = 512;

/** Creates a {@link FrameBudget}. */
export function createFrameBudget(limits: MemoryLimits): FrameBudget {
  const budget = createMemoryBudget(limits);

  function count(socket: Counted): void {
    const { account, unfinishedBytes, unfinishedChunks, waitingBytes, waitingFrames } = socket;
    if (account === null) return;
    budget.resize(account, unfinishedBytes + waitingBytes + overheadBytes * (unfinishedChunks + waitingFrames));
  }

  function close(socket: Counted): void {
    if (socket.account !== null) budget.close(socket.account);
    Object.assign(socket, empty);
  }

  return {
    open(owner, drop) {
      const account = budget.open(owner, (limit) => {
        close(socket);
        drop(limit);
      });
      const socket: Counted = { ...empty, isClosed: false, account };
      return socket;
    },
    addChunk(socket: Counted, byteCount) {
      if (socket.isClosed) return;
      socket.lastChunkBytes = byteCount;
      socket.unfinishedBytes += byteCount;
      socket.unfinishedChunks += 1;
      count(socket);
    },
    completeFrame(socket: Counted, payloadBytes) {
      if (socket.isClosed) return;
      // Bytes after a complete frame are in the last chunk. This keeps estimates of headers from adding up.
      const rest = Math.min(socket.lastChunkBytes, socket.unfinishedBytes - payloadBytes - minHeaderBytes);
      socket.unfinishedBytes = Math.max(0, rest);
      socket.unfinishedChunks = rest > 0 ? 1 : 0;
      count(socket);
    },
    addWaitingFrame(socket: Counted, byteCount) {
      if (socket.isClosed) return () => undefined;
      socket.waitingBytes += byteCount;
      socket.waitingFrames += 1;
      count(socket);
      return () => {
        if (socket.isClosed) return;
        socket.waitingBytes -= byteCount;
        socket.waitingFrames -= 1;
        count(socket);
      };
    },
    close,
  };
}

/** A closed socket. */
const empty: Counted = {
  unfinishedBytes: 0,
  unfinishedChunks: 0,
  waitingBytes: 0,
  waitingFrames: 0,
  lastChunkBytes: 0,
  isClosed: true,
  account: null,
};
