/**
 * One reader of events, as a stream of bytes. While it is behind, it reads stored changes, one page each time the host has sent the last
 * one; then it receives changes as they are stored. When too much waits in memory, it falls behind again. A reader that reads nothing for
 * a while is disconnected, and can resume.
 */
import type { Clock } from "@letta-environments/platform";
import type { MemoryOwner } from "@letta-environments/schema";
import type { ChangePage, StoredChange } from "../change-log.ts";
import { maxUnreadBytesPerReader, maxUnreadMs } from "../limits.ts";
import type { MemoryAccount, MemoryBudget } from "../memory-budget.ts";

/** Why a stream ended: the caller left, exceeded a limit or lost its credential, the server stopped, or the store failed. */
export type StreamEnd = "caller_gone" | "unread" | "credential_ended" | "shutdown" | "failed";

export interface EventReader {
  readonly stream: ReadableStream<Uint8Array>;
  /** Resolves when the stream has ended, with the reason. */
  readonly ended: Promise<StreamEnd>;
  /** Passes a stored change on, unless the reader has it or will read it. `text` is called when it is needed. */
  receive(change: StoredChange, text: () => Uint8Array): void;
  /**
   * Sends a comment, and ends the stream of a reader that does not read. For a live reader, `textOf` receives the position up to which
   * it has everything.
   */
  beat(textOf: (position: number | null) => Uint8Array): void;
  /** Sends a text in place of everything up to a position. */
  skipTo(position: number, text: Uint8Array): void;
  end(reason: StreamEnd): void;
}

export interface EventReaderOptions {
  readonly clock: Clock;
  readonly budget: MemoryBudget;
  /** Readers with the same owner share a limit of memory. */
  readonly owner: MemoryOwner;
  /** The first bytes of the stream. */
  readonly opening: readonly Uint8Array[];
  /** Position after which changes are sent. */
  readonly after: number;
  /** Resolves when the reader may read a page. */
  readonly takeTurn: () => Promise<void>;
  readonly readPage: (after: number) => Promise<ChangePage>;
  /** Returns the text that says what the reader misses; `null` if the page has every change after the position. */
  readonly gapOf: (page: ChangePage, after: number) => Uint8Array | null;
  /** Returns the text of a change in a page, or `null` if the reader may not see it. */
  readonly textOf: (change: StoredChange, page: ChangePage) => Uint8Array | null;
}

interface Reader extends EventReaderOptions {
  account: MemoryAccount;
  /** Changes up to here are in `chunks`, were handed over, or are hidden from the reader. */
  position: number;
  /** Changes up to here were handed over to the host: where a reader that falls behind reads on. */
  handedOver: number;
  /** The opening, `gap` and other texts that are not stored. They wait until they are handed over, before `chunks`. */
  kept: Uint8Array[];
  /** Changes that can be read from the store again. They are dropped when the reader falls behind. */
  chunks: Uint8Array[];
  /** The size of the changes in `chunks` that were stored while it waited. A page from the store is handed over immediately. */
  unreadBytes: number;
  /** When the host received the last bytes; `null` while it waits for more: the reader has taken everything. */
  handedOverAtMs: number | null;
  /** It reads pages from the store; otherwise it receives changes as they are stored. */
  isCatchingUp: boolean;
  /** A change was stored while the reader was behind. */
  hasMissedChange: boolean;
  /** How often the reader was moved by {@link EventReader.skipTo}. */
  skips: number;
  wake: (() => void) | null;
  reason: StreamEnd | null;
  settle: (reason: StreamEnd) => void;
  controller: ReadableStreamDefaultController<Uint8Array> | null;
}

export function createEventReader(options: EventReaderOptions): EventReader {
  const { clock, budget, owner, opening, after } = options;
  const { promise: ended, resolve: settle } = Promise.withResolvers<StreamEnd>();
  const reader: Reader = {
    ...options,
    account: budget.open(owner, () => releaseMemory(reader)),
    position: after,
    handedOver: after,
    kept: [...opening],
    chunks: [],
    unreadBytes: 0,
    handedOverAtMs: clock.monotonic(),
    isCatchingUp: true,
    hasMissedChange: false,
    skips: 0,
    wake: null,
    reason: null,
    settle,
    controller: null,
  };
  const source: UnderlyingDefaultSource<Uint8Array> = {
    start: (controller) => void (reader.controller = controller),
    pull: (controller) => pull(reader, controller),
    cancel: () => end(reader, "caller_gone"),
  };
  return {
    stream: new ReadableStream(source, { highWaterMark: 0 }),
    ended,
    receive(change, text) {
      if (reader.isCatchingUp) reader.hasMissedChange = true;
      else if (change.position > reader.position) {
        reader.position = change.position;
        push(reader, text());
      }
    },
    beat(textOf) {
      const { handedOverAtMs, isCatchingUp, position } = reader;
      if (handedOverAtMs !== null && clock.monotonic() - handedOverAtMs >= maxUnreadMs) return end(reader, "unread");
      push(reader, textOf(isCatchingUp ? null : position));
    },
    skipTo(position, text) {
      if (reader.reason !== null) return;
      forgetChunks(reader);
      // The dropped changes are before the gap, and need not be complete.
      Object.assign(reader, { position, handedOver: position, isCatchingUp: false } satisfies Partial<Reader>);
      reader.skips += 1;
      reader.kept.push(text);
      reader.wake?.();
    },
    end: (reason) => end(reader, reason),
  };
}

function push(reader: Reader, chunk: Uint8Array): void {
  if (reader.reason !== null) return;
  reader.chunks.push(chunk);
  reader.unreadBytes += chunk.byteLength;
  if (reader.unreadBytes > maxUnreadBytesPerReader) fallBehind(reader);
  else reader.budget.resize(reader.account, reader.unreadBytes);
  reader.wake?.();
}

/** Drops the changes that wait in memory. They are stored, and read again when the host has sent the ones that it has. */
function fallBehind(reader: Reader): void {
  forgetChunks(reader);
  reader.position = reader.handedOver;
  reader.isCatchingUp = true;
}

function releaseMemory(reader: Reader): void {
  reader.account = reader.budget.open(reader.owner, () => releaseMemory(reader));
  fallBehind(reader);
}

function forgetChunks(reader: Reader): void {
  reader.chunks = [];
  reader.unreadBytes = 0;
  reader.budget.resize(reader.account, 0);
}

/** Hands the waiting bytes to the host; waits until there are any. */
async function pull(reader: Reader, controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
  reader.handedOverAtMs = null;
  while (reader.kept.length + reader.chunks.length === 0 && reader.reason === null) {
    if (reader.isCatchingUp) await catchUp(reader).catch(() => end(reader, "failed"));
    else await new Promise<void>((resolve) => (reader.wake = resolve));
    reader.wake = null;
  }
  if (reader.reason !== null) return;
  const bytes = takeChunks(reader);
  reader.handedOver = reader.position;
  reader.handedOverAtMs = reader.clock.monotonic();
  controller.enqueue(bytes);
}

function takeChunks(reader: Reader): Uint8Array {
  const bytes = joinChunks([...reader.kept, ...reader.chunks]);
  reader.kept = [];
  forgetChunks(reader);
  return bytes;
}

async function catchUp(reader: Reader): Promise<void> {
  await reader.takeTurn();
  // It may have been moved meanwhile.
  if (reader.reason !== null || !reader.isCatchingUp) return;
  reader.hasMissedChange = false;
  const { skips } = reader;
  const page = await reader.readPage(reader.position);
  // A page that was read before the reader was moved has changes of the earlier series, and ends at one of its positions.
  if (reader.reason !== null || reader.skips !== skips) return;
  const { changes, through, hasMore } = page;
  const gap = reader.gapOf(page, reader.position);
  // The gap is reported once, so it stays queued even if the changes after it are read again.
  if (gap !== null) reader.kept.push(gap);
  for (const change of changes) {
    const text = reader.textOf(change, page);
    if (text !== null) reader.chunks.push(text);
  }
  reader.position = through;
  reader.isCatchingUp = hasMore || reader.hasMissedChange;
}

function end(reader: Reader, reason: StreamEnd): void {
  if (reader.reason !== null) return;
  reader.reason = reason;
  const { controller, kept, chunks, unreadBytes } = reader;
  reader.budget.close(reader.account);
  // An error makes the host drop the connection without waiting until the rest is read.
  if (reason === "unread" || reason === "failed" || (reason === "credential_ended" && unreadBytes > 0)) {
    controller?.error(new Error(`the stream of events has ended: ${reason}`));
  } else if (reason !== "caller_gone") {
    if (kept.length + chunks.length > 0) controller?.enqueue(takeChunks(reader));
    controller?.close();
  }
  reader.chunks = [];
  reader.wake?.();
  reader.settle(reason);
}

function joinChunks(chunks: readonly Uint8Array[]): Uint8Array {
  const [first] = chunks;
  if (first !== undefined && chunks.length === 1) return first;
  const joined = new Uint8Array(chunks.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let offset = 0;
  for (const chunk of chunks) {
    joined.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return joined;
}
