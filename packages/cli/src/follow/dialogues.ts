/**
 * Questions in the output of a turn. While one is open, everything else is kept back: a text of the device could scroll the question away, or
 * end with what looks like another one.
 */
import type { TurnPrinter } from "./printer.ts";

/** Prints the lines of a question. */
export type DialogueLines = Pick<TurnPrinter, "line" | "detail" | "question">;

/** A {@link TurnPrinter} that waits while a question is open. Its `end` also ends the question. */
export interface DialoguePrinter extends Omit<TurnPrinter, "question"> {
  /**
   * Runs the part that asks and reads the answer, after any other. Resolves with its result, or with `null` if the signal aborts or the turn
   * ends before it begins. The signal that it receives aborts in both cases.
   */
  dialogue<T>(
    cancelled: AbortSignal,
    run: (lines: DialogueLines, cancelled: AbortSignal) => Promise<T | null>,
  ): Promise<T | null>;
}

/** The most characters that are kept back. */
const maxHeldLength = 1_000_000;
/** Added to the length of each text, for the memory that it takes besides. */
const lengthOfPiece = 100;

/** Creates a {@link DialoguePrinter}. */
export function withDialogues(printer: TurnPrinter): DialoguePrinter {
  const ended = new AbortController();
  let last: Promise<unknown> = Promise.resolve();
  let held: (() => Promise<unknown>)[] | null = null;
  let heldLength = 0;
  let failure: { readonly error: unknown } | null = null;

  /** Prints now or after the question. Resolves with false when the reader has gone away. */
  async function print(length: number, write: () => Promise<unknown>): Promise<boolean> {
    if (failure !== null) throw failure.error;
    if (held === null) return (await write()) !== false;
    if (heldLength > maxHeldLength) return true;
    heldLength += length + lengthOfPiece;
    held.push(heldLength > maxHeldLength ? () => printer.line("some of the output is missing here", "yellow") : write);
    return true;
  }

  async function holdDuring<T>(run: () => Promise<T>): Promise<T> {
    const writes = (held = []) as (() => Promise<unknown>)[];
    heldLength = 0;
    try {
      return await run();
    } finally {
      // It may become longer in the meantime.
      for (const write of writes) await write().catch((error: unknown) => void (failure ??= { error }));
      held = null;
    }
  }

  return {
    document: (value) => printer.document(value),
    piece: (piece) => print(Object.values(piece).join("").length, () => printer.piece(piece)),
    line: async (text, style) => void (await print(text.length, () => printer.line(text, style))),
    detail: async (text, style) => void (await print(text.length, () => printer.detail(text, style))),
    async dialogue(cancelled, run) {
      const signal = AbortSignal.any([cancelled, ended.signal]);
      const result = last.then(() => (signal.aborted ? null : holdDuring(() => run(printer, signal))));
      last = result.catch(() => undefined);
      return result;
    },
    async end() {
      ended.abort();
      await last;
      if (failure !== null) throw failure.error;
      await printer.end();
    },
  };
}
