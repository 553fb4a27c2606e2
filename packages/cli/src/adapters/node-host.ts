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
  const { interrupted, onInterrupt } = listenForSignals();
  // A command that reads standard input notices the signal by its end.
  interrupted.addEventListener("abort", () => process.stdin.destroy(), { once: true });
  return {
    args: process.argv.slice(2),
    variable: (name) => process.env[name],
    stdin: standardInput,
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

/** Input typed before a question arrives within this time. */
const typedAheadMs = 50;

const standardInput: Input = {
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
      let text: string | null = null;
      const timer = setTimeout(() => {
        text = "";
        ready();
      }, typedAheadMs);
      const finish = (line: string | null): void => {
        clearTimeout(timer);
        stdin.off("data", receive).off("end", end).off("error", end).off("close", end).pause();
        cancelled.removeEventListener("abort", end);
        resolve(line);
      };
      const end = (): void => finish(null);
      const receive = (chunk: Buffer | string): void => {
        if (text === null) return;
        text += String(chunk);
        const length = text.indexOf("\n");
        if (length >= 0) finish(text.slice(0, length).trim());
      };
      if (cancelled.aborted || stdin.readableEnded || stdin.destroyed) return end();
      cancelled.addEventListener("abort", end);
      stdin.on("data", receive).on("end", end).on("error", end).on("close", end).resume();
    });
  },
};

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
    columns: () => (stream.isTTY === true && stream.columns > 0 ? stream.columns : null),
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
function listenForSignals(): Pick<Host, "interrupted" | "onInterrupt"> {
  const controller = new AbortController();
  let handler: (() => void) | null = null;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(exitCodeOfSignal(signal));
      const handle = signal === "SIGINT" ? handler : null;
      handler = null;
      if (handle !== null) return handle();
      controller.abort(signal);
    });
  }
  return {
    interrupted: controller.signal,
    onInterrupt(handle) {
      handler = handle;
      return () => {
        if (handler === handle) handler = null;
      };
    },
  };
}
