/**
 * Counts the memory of WebSockets: unfinished frames, which a WebSocket library buffers until their last byte has arrived, and
 * frames that wait until the device reads them. The library's own limits are fixed and apply to one socket. These apply to the
 * sockets of one key, and to all sockets; when one is exceeded, the largest socket of a key that uses too much is dropped.
 */
import type { MemoryAccount, MemoryBudget, MemoryLimit } from "@letta-environments/environment-server";
import type { MemoryOwner } from "@letta-environments/schema";

/** Shortest header of a frame from a client (RFC 6455 section 5.2): two bytes and the masking key. */
const minHeaderBytes = 6;

/** Memory that a buffered chunk or a waiting frame takes besides its bytes, at most, as measured on Node.js. */
const overheadBytes = 512;

/** The memory of one socket, in the budget of all sockets. */
export class SocketBudget {
  readonly #budget: MemoryBudget;
  #account: MemoryAccount | null;
  #unfinishedBytes = 0;
  #unfinishedChunks = 0;
  #lastChunkBytes = 0;
  #waitingBytes = 0;
  #waitingFrames = 0;

  /** @param drop called once if the socket must be dropped */
  constructor(budget: MemoryBudget, owner: MemoryOwner, drop: (limit: MemoryLimit) => void) {
    this.#budget = budget;
    this.#account = budget.open(owner, (limit) => {
      this.close();
      drop(limit);
    });
  }

  /** Bytes that were received after the last complete frame, exact to one chunk. */
  get unfinishedBytes(): number {
    return this.#unfinishedBytes;
  }

  /** Bytes of frames that wait to be written, without overhead. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get isClosed(): boolean {
    return this.#account === null;
  }

  /** Call it with the size of each chunk, before the library handles the chunk. */
  addChunk(byteCount: number): void {
    if (this.isClosed) return;
    this.#lastChunkBytes = byteCount;
    this.#unfinishedBytes += byteCount;
    this.#unfinishedChunks += 1;
    this.#count();
  }

  /** Call it with the payload size of each frame that the library hands over. */
  completeFrame(payloadBytes: number): void {
    if (this.isClosed) return;
    // Bytes after a complete frame are in the last chunk. This keeps estimates of headers from adding up.
    const rest = Math.min(this.#lastChunkBytes, this.#unfinishedBytes - payloadBytes - minHeaderBytes);
    this.#unfinishedBytes = Math.max(0, rest);
    this.#unfinishedChunks = rest > 0 ? 1 : 0;
    this.#count();
  }

  /** Call it before a frame is written. Call the returned function afterwards. */
  addWaitingFrame(byteCount: number): () => void {
    this.#changeWaiting(byteCount, 1);
    return () => this.#changeWaiting(-byteCount, -1);
  }

  /** Nothing is counted from then on. */
  close(): void {
    if (this.#account !== null) this.#budget.close(this.#account);
    this.#account = null;
    this.#unfinishedBytes = 0;
    this.#waitingBytes = 0;
  }

  #changeWaiting(bytes: number, frames: number): void {
    if (this.isClosed) return;
    this.#waitingBytes += bytes;
    this.#waitingFrames += frames;
    this.#count();
  }

  #count(): void {
    if (this.#account === null) return;
    const overhead = overheadBytes * (this.#unfinishedChunks + this.#waitingFrames);
    this.#budget.resize(this.#account, this.#unfinishedBytes + this.#waitingBytes + overhead);
  }
}
