/** The host on Node.js, Bun and Deno. */
import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import process from "node:process";
import { buffer } from "node:stream/consumers";
import { CommandError } from "@letta-environments/command-line";
import { exitCodeOfSignal } from "../exit-code.ts";
import type { Host, Input, Output } from "../host.ts";

/** Returns the host of this process. */
export function createNodeHost(): Host {
  const { interrupted, onInterrupt, interrupt } = listenForSignals();
  const endInput = (): void => {
    setRawMode(false);
    process.stdin.destroy();
  };
  // A command that reads standard input notices the signal by its end.
  interrupted.addEventListener("abort", endInput, { once: true });
  // A terminal that has gone away cannot leave raw mode.
  process.stdin.on("error", () => undefined);
  return {
    args: process.argv.slice(2),
    variable: (name) => process.env[name],
    stdin: createInput(interrupt),
    stdout: createOutput(process.stdout, "standard output"),
    stderr: createOutput(process.stderr, "standard error"),
    readFile,
    clock: {
      now: () => Date.now(),
      monotonic: () => performance.now(),
      setTimer(delayMs, run) {
        const timer = setTimeout(run, delayMs);
        return () => clearTimeout(timer);
      },
    },
    newId: () => randomUUID(),
    interrupted,
    onInterrupt,
    async serveMcp(createServer, warn) {
      // Only this command loads the SDK.
      const { serveMcpOnStdio } = await import("./mcp-stdio.ts");
      await serveMcpOnStdio(createServer, interrupted, warn);
    },
  };
}

/** Time before a question in which keys are discarded, in milliseconds: they may be meant for a question that has just ended. */
const typedAheadMs = 500;

/** Outside of raw mode, a terminal keeps an unfinished line until Enter is pressed. */
function setRawMode(isRaw: boolean): void {
  if (process.stdin.isTTY) process.stdin.setRawMode(isRaw);
}

/** @param interrupt called for Ctrl-C in raw mode, where it is an ordinary key */
const createInput = (interrupt: () => void): Input => ({
  isTerminal: process.stdin.isTTY === true,
  async read(maxBytes) {
    const chunks: Uint8Array[] = [];
    let total = 0;
    for await (const chunk of process.stdin) {
      const bytes = typeof chunk === "string" ? new TextEncoder().encode(chunk) : (chunk as Uint8Array);
      total += bytes.length;
      if (total > maxBytes) return null;
      chunks.push(bytes);
    }
    return Buffer.concat(chunks);
  },
  readLine(ready, cancelled) {
    const { stdin } = process;
    return new Promise((resolve) => {
      if (cancelled.aborted || stdin.readableEnded || stdin.destroyed) return resolve(null);
      // One line must not answer two questions.
      if (stdin.listenerCount("data") > 0) throw new Error("another line is being read");
      let isReady = false;
      const timer = setTimeout(() => {
        setRawMode(false);
        isReady = true;
        ready();
      }, typedAheadMs);
      const finish = (line: string | null): void => {
        clearTimeout(timer);
        stdin.off("data", receive).off("end", end).off("error", end).off("close", end).pause();
        cancelled.removeEventListener("abort", end);
        setRawMode(false);
        resolve(line);
      };
      const end = (): void => finish(null);
      const receive = (chunk: Buffer | string): void => {
        const keys = String(chunk);
        if (keys.includes("\u0003")) return interrupt();
        // A line arrives as a whole. Anything else was pressed before the end of raw mode.
        if (isReady && keys.endsWith("\n")) finish(keys.trim());
      };
      cancelled.addEventListener("abort", end);
      stdin.on("data", receive).on("end", end).on("error", end).on("close", end).resume();
      setRawMode(true);
    });
  },
});

async function readFile(path: string, maxBytes: number): Promise<string> {
  // A pipe may deliver the text in pieces. `end` is inclusive, so one byte more than allowed is read, which shows that the file is too long.
  const bytes = await buffer(createReadStream(path, { end: maxBytes }));
  if (bytes.length > maxBytes) throw Object.assign(new Error("the file is too long"), { code: "EFBIG" });
  return bytes.toString("utf8");
}

/** A reader that goes away, as `head` does, is not a failure. */
function createOutput(stream: NodeJS.WriteStream, name: string): Output {
  let isOpen = true;
  // Without a listener, an error of the stream would end the process with a stack trace.
  stream.on("error", () => {
    isOpen = false;
  });
  return {
    isTerminal: stream.isTTY === true,
    // Some terminals, such as a serial line, do not know their width.
    columns: () => (stream.isTTY === true ? stream.columns || 80 : null),
    write(text) {
      if (!isOpen) return Promise.resolve(false);
      return new Promise((resolve, reject) => {
        stream.write(text, (error) => {
          const code = error === null || error === undefined ? null : codeOf(error);
          if (code === null) return resolve(true);
          isOpen = false;
          if (code === "EPIPE" || code === "ERR_STREAM_DESTROYED") return resolve(false);
          reject(new CommandError(`${name} cannot be written (${code})`));
        });
      });
    },
  };
}

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}

/**
 * The first signal lets the command end on its own; a second one ends the process immediately. A handler, if set, receives one Ctrl-C
 * before these.
 */
function listenForSignals(): Pick<Host, "interrupted" | "onInterrupt"> & { interrupt(): void } {
  const controller = new AbortController();
  let handler: (() => void) | null = null;
  const receive = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(exitCodeOfSignal(signal));
    const handle = signal === "SIGINT" ? handler : null;
    handler = null;
    if (handle !== null) return handle();
    controller.abort(signal);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => receive(signal));
  return {
    interrupt: () => receive("SIGINT"),
    interrupted: controller.signal,
    onInterrupt(handle) {
      handler = handle;
      return () => {
        if (handler === handle) handler = null;
      };
    },
  };
}
