import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { pinned } from "./pin.ts";

/** A Node process that answers questions over its control channel. It ends with this one. */
export interface ControlledProcess {
  /** Sends a question and resolves with the next message; rejects when the process ends instead. */
  ask(question: unknown): Promise<unknown>;
  /** Resolves with the first message that has this member, past or future. */
  told(member: string): Promise<unknown>;
  stop(): Promise<void>;
}

/** The system to start. */
export interface ControlledProcessOptions {
  readonly entry: string;
  readonly core: number;
  readonly words?: readonly string[];
  readonly preload?: string;
}

const waitMs = 60_000;

/** Starts an entry on one core. Its standard output goes nowhere: reading it would cost the other core time. */
export function startControlled(options: ControlledProcessOptions): ControlledProcess {
  const preload = options.preload === undefined ? [] : ["--import", options.preload];
  const flags = ["--disable-warning=ExperimentalWarning", ...preload];
  const [execPath, execArgv] = pinned(options.core, process.execPath, flags);
  const child = fork(options.entry, [...(options.words ?? [])], {
    execPath,
    execArgv: [...execArgv],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const heard: Readonly<Record<string, unknown>>[] = [];
  child.on("message", (message: Readonly<Record<string, unknown>>) => void heard.push(message));

  async function next(): Promise<Readonly<Record<string, unknown>>> {
    const cancel = new AbortController();
    const signal = AbortSignal.any([cancel.signal, AbortSignal.timeout(waitMs)]);
    try {
      const message = once(child, "message", { signal });
      const exit = once(child, "exit", { signal });
      const [event] = await Promise.race([message, exit.then(() => endedEarly(options.entry))]);
      return event as Readonly<Record<string, unknown>>;
    } finally {
      cancel.abort();
    }
  }

  return {
    ask(question) {
      const answer = next();
      child.send(question as object);
      return answer;
    },
    async told(member) {
      for (;;) {
        const message = heard.find((candidate) => member in candidate) ?? (await next());
        if (member in message) return message[member];
      }
    },
    stop: () => stop(child),
  };
}

function endedEarly(entry: string): never {
  throw new Error(`${entry} ended before it responded.`);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  const timer = setTimeout(() => child.kill("SIGKILL"), 5_000);
  child.kill("SIGTERM");
  await exited;
  clearTimeout(timer);
}
