/** Standard output, written alike on Node, Bun and Deno: a reader that hangs never blocks the program, and a failure never ends it. */
import { fstatSync, writeSync } from "node:fs";
import process from "node:process";
import type { OutputState } from "../log.ts";
import { errorCode } from "./data-dir.ts";

/** Standard output of this process. */
export interface StandardOutput extends OutputState {
  write(text: string): void;
  /** Why something could not be written, such as `ENOSPC`; `null` if everything was. */
  readonly failure: string | null;
  /** Resolves when no more text is waiting. */
  settled(): Promise<void>;
}

/** Called when a text is written or, with an error, when not all of it could be. */
type Done = (text: string, error?: unknown) => void;

/** The part of Deno's own API that is used: its `process.stdout` blocks the whole program while a pipe is full. */
interface DenoOutput {
  readonly stdout: { write(bytes: Uint8Array): Promise<number> };
}

let opened: StandardOutput | null = null;

/** Returns standard output, opened with the first call. The program must listen for `error` of `process.stdout`. */
export function standardOutput(): StandardOutput {
  return (opened ??= openOutput());
}

function openOutput(): StandardOutput {
  const { stdout } = process;
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
    failure: null as string | null,
    get unreadBytes(): number {
      return waiting + stdout.writableLength;
    },
    write(text: string): void {
      waiting += text.length;
      put(text);
    },
    async settled(): Promise<void> {
      if (waiting > 0) await new Promise<void>((resolve) => onSettled.push(resolve));
      await new Promise<void>((resolve) => stdout.write("", () => resolve()));
    },
  };
  return output;
}

function choosePut(done: Done): (text: string) => void {
  // A file takes everything at once. `process.stdout` of Node drops the rest of a text without an error when a file becomes full.
  if (fstatSync(1).isFile()) return (text) => putInFile(text, done);
  const { Deno } = globalThis as { readonly Deno?: DenoOutput };
  if (Deno !== undefined) return putInOrder(Deno.stdout, done);
  const { stdout } = process;
  if (process.versions["bun"] !== undefined) return (text) => void stdout.write(text, (error) => done(text, error));
  // A callback would cost Node a tick per write. It immediately writes as much as there is room for, and `writableLength` is the rest.
  return (text) => {
    stdout.write(text);
    done(text, stdout.errored);
  };
}

function putInFile(text: string, done: Done): void {
  try {
    const bytes = Buffer.from(text);
    for (let written = 0; written < bytes.byteLength;) written += writeSync(1, bytes, written);
    done(text);
  } catch (error) {
    done(text, error);
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
