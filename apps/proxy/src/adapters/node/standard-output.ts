/** Standard output, written alike on Node, Bun and Deno: a reader that hangs never blocks the program, and a failure never ends it. */
import { fstatSync, writeSync } from "node:fs";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { errorCode } from "./data-dir.ts";

type StandardOutput = ReturnType<typeof openOutput>;

/** Called when a text is written or, with an error, when not all of it could be. */
type Done = (text: string, error?: unknown) => void;

/** The part of Deno's own API that is used: its `process.stdout` blocks the whole program while a pipe is full. */
interface DenoOutput {
  readonly stdout: { write(bytes: Uint8Array): Promise<number> };
}

/** How long the end of a process or gateway waits for the reader of the log, in milliseconds. */
export const lastReadMs = 1_000;

const isBun = process.versions["bun"] !== undefined;
const isDeno = process.versions["deno"] !== undefined;
const newline = 0x0a;

let opened: StandardOutput | null = null;

/** Returns standard output, opened with the first call. */
export function standardOutput(): Readonly<StandardOutput> {
  return (opened ??= openOutput());
}

function openOutput() {
  const { stdout } = process;
  // Without a listener, a failure would end the process.
  stdout.on("error", () => undefined);
  const isNode = !isBun && !isDeno;
  let waiting = 0;
  let onSettled: (() => void)[] = [];
  const put = choosePut((text, error) => {
    waiting -= text.length;
    output.isFailing = error !== undefined && error !== null;
    if (output.isFailing) {
      output.failure ??= errorCode(error) ?? String(error);
      output.lostLines += text.split("\n").length - 1;
    }
    if (waiting > 0) return;
    for (const resolve of onSettled) resolve();
    onSettled = [];
  });
  const output = {
    lostLines: 0,
    isFailing: false,
    /** Why something could not be written, such as `ENOSPC`; `null` if everything was. */
    failure: null as string | null,
    get unreadBytes(): number {
      // On Node, a program that replaces `stdout.write` may drop callbacks, so that `waiting` would never become 0.
      return isNode ? stdout.writableLength : waiting;
    },
    write(text: string): void {
      waiting += text.length;
      put(text);
    },
    /** Resolves when no more text is waiting, or after `longestMs`. */
    async settled(longestMs?: number): Promise<void> {
      if (output.unreadBytes === 0) return;
      const read = new Promise<void>((resolve) => {
        if (isNode) stdout.write("", () => resolve());
        else onSettled.push(resolve);
      });
      if (longestMs === undefined) return read;
      // The timer keeps the program alive: nothing else may.
      const end = new AbortController();
      await Promise.race([read, delay(longestMs, undefined, { signal: end.signal })]);
      end.abort();
    },
  };
  return output;
}

function choosePut(done: Done): (text: string) => void {
  // A file takes everything at once. `process.stdout` of Node drops the rest of a text without an error when a file becomes full.
  if (fstatSync(1).isFile()) return putInFile(done);
  const { Deno } = globalThis as { readonly Deno?: DenoOutput };
  if (Deno !== undefined) return putInOrder(Deno.stdout, done);
  const { stdout } = process;
  if (isBun) {
    // Once the reader has gone, only what waited for it gets an error.
    return (text) => void stdout.write(text, (error) => done(text, error ?? stdout.errored));
  }
  // A callback would cost Node a tick per write. It immediately writes as much as there is room for, and `writableLength` is the rest.
  return (text) => {
    stdout.write(text);
    if (stdout.writableLength === 0) done(text, stdout.errored);
    else stdout.write("", (error) => done(text, error));
  };
}

function putInFile(done: Done): (text: string) => void {
  /** Whether the file ends within a line. */
  let isOpen = false;
  /** Whether the rest of that line was lost. */
  let isCut = false;
  return (text) => {
    // Otherwise the next line would continue the part of a line that a full file still took.
    const bytes = Buffer.from(isCut ? `\n${text}` : text);
    const sizeBefore = isDeno ? fileSize() : 0;
    let written = 0;
    let failure: unknown = null;
    try {
      while (written < bytes.byteLength) written += writeSync(1, bytes, written);
    } catch (error) {
      failure = error;
      // Deno writes part after part, and does not say how many.
      if (isDeno) written = fileSize() - sizeBefore;
    }
    if (written > 0) isOpen = bytes[written - 1] !== newline;
    isCut = failure !== null && isOpen;
    done(text, failure);
  };
}

/** The size of standard output; 0 if it is not known, such as after it was closed. */
function fileSize(): number {
  try {
    return fstatSync(1).size;
  } catch {
    return 0;
  }
}

function putInOrder(stdout: DenoOutput["stdout"], done: Done): (text: string) => void {
  let last = Promise.resolve();
  async function putAfter(earlier: Promise<void>, text: string): Promise<void> {
    await earlier;
    try {
      const bytes = Buffer.from(text);
      for (let written = 0; written < bytes.byteLength;) written += await stdout.write(bytes.subarray(written));
      done(text);
    } catch (error) {
      done(text, error);
    }
  }
  return (text) => {
    last = putAfter(last, text);
  };
}
