/**
 * Counts the bytes of unfinished WebSocket frames over all sockets. A WebSocket library buffers a frame until its last byte
 * has arrived, so peers that start frames and never finish them fill the memory. The library's own limit is fixed and for one
 * socket; this budget is for all together. When it is exceeded, the socket with the most unfinished bytes is dropped.
 */
export interface FrameBudget {
  /** Starts counting for a socket. `drop` is called, once, when the socket has to go. */
  open(drop: () => void): SocketBudget;
}

/** The share of one socket. */
export interface SocketBudget {
  /** Bytes that were received after the last complete frame, exact to one chunk. */
  readonly unfinishedBytes: number;
  /** Call it with the size of each chunk, before the library handles the chunk. */
  received(byteCount: number): void;
  /** Call it with the payload size of each frame that the library hands over. */
  completed(payloadBytes: number): void;
  close(): void;
}

/** Shortest header of a frame from a client (RFC 6455 section 5.2): two bytes and the masking key. */
const minHeaderBytes = 6;

/** Creates a {@link FrameBudget} of `maxBytes`. */
export function createFrameBudget(maxBytes: number): FrameBudget {
  const sockets = new Map<SocketBudget, () => void>();
  let totalBytes = 0;

  function dropLargest(): void {
    const [first, ...others] = sockets.keys();
    if (first === undefined) return;
    const largest = others.reduce(
      (left, right) => (left.unfinishedBytes >= right.unfinishedBytes ? left : right),
      first,
    );
    const drop = sockets.get(largest);
    largest.close();
    drop?.();
  }

  return {
    open(drop) {
      let unfinishedBytes = 0;
      let lastChunkBytes = 0;
      const change = (byteCount: number): void => {
        totalBytes += byteCount - unfinishedBytes;
        unfinishedBytes = byteCount;
      };
      const socket: SocketBudget = {
        get unfinishedBytes() {
          return unfinishedBytes;
        },
        received(byteCount) {
          if (!sockets.has(socket)) return;
          lastChunkBytes = byteCount;
          change(unfinishedBytes + byteCount);
          if (totalBytes > maxBytes) dropLargest();
        },
        completed(payloadBytes) {
          // What follows a complete frame is in the last chunk. This keeps estimates of headers from adding up.
          const rest = Math.min(lastChunkBytes, unfinishedBytes - payloadBytes - minHeaderBytes);
          change(Math.max(0, rest));
        },
        close() {
          sockets.delete(socket);
          change(0);
        },
      };
      sockets.set(socket, drop);
      return socket;
    },
  };
}
