import { randomUUID } from "node:crypto";
import { open } from "node:fs/promises";
import process from "node:process";
import type { Host, Input } from "../host.ts";
import { createOutput } from "./node-output.ts";

/** The machine as Node.js, Bun and Deno show it. */
export function createNodeHost(): Host {
  const interrupted = listenForSignals();
  // Who waits for the end of standard input hears of the signal by its end.
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
