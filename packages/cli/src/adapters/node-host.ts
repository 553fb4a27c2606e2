/** The host on Node.js, Bun and Deno. */
import { randomUUID } from "node:crypto";
import { open } from "node:fs/promises";
import process from "node:process";
import { CommandError } from "@letta-environments/command-line";
import type { Host, Input, Output } from "../host.ts";

/** Returns the host of this process. */
export function createNodeHost(): Host {
  const interrupted = listenForSignals();
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
  };
}

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
};

async function readFile(path: string, maxBytes: number): Promise<string> {
  const file = await open(path);
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(maxBytes), 0, maxBytes, null);
    return buffer.subarray(0, bytesRead).toString("utf8");
  } finally {
    await file.close();
  }
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

/** The first signal lets the command end by itself; a second one ends the process at once. */
function listenForSignals(): AbortSignal {
  const controller = new AbortController();
  const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(exitCodes[signal]);
      controller.abort(signal);
    });
  }
  return controller.signal;
}
