/** Starts a Valkey server for a test, and says whether this machine has one. */
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import { type LaunchedProcess, launchProcess } from "./process.ts";

/** A Valkey server for one test, on loopback. Its data is lost when it stops, unless a directory was given. */
export interface LaunchedValkey {
  /** Includes the password, if there is one. */
  readonly url: string;
  readonly port: number;
  /** Suspends the process: connections stay open without replies, as when a machine hangs. */
  pause(): void;
  resume(): void;
  /** Kills the server. Its data is lost, unless a directory was given. */
  stop(): Promise<void>;
}

/** Options of a server. */
export interface LaunchValkeyOptions {
  /** Default: a free port. Use the port of a stopped server to restart it. */
  readonly port?: number;
  readonly password?: string;
  /** Writes every command to an append-only file in this directory before it is confirmed, and keeps it after the stop. */
  readonly directory?: string;
  /** More options of the server, such as `["--user", "..."]`. */
  readonly args?: readonly string[];
}

/** Starts a `valkey-server` (or `redis-server`) and resolves when it accepts connections. */
export async function launchValkey(options: LaunchValkeyOptions = {}): Promise<LaunchedValkey> {
  const command = findServer();
  if (command === null) throw new Error(missingServer);
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), "valkey-")));
  const { server, port } = await startOn(command, directory, options);
  const signIn = options.password === undefined ? "" : `:${encodeURIComponent(options.password)}@`;
  return {
    url: `valkey://${signIn}127.0.0.1:${port}`,
    port,
    pause: () => void process.kill(server.pid, "SIGSTOP"),
    resume: () => void process.kill(server.pid, "SIGCONT"),
    async stop() {
      // A suspended process handles no other signal.
      await server.stop("SIGKILL");
      if (options.directory === undefined) await rm(directory, { recursive: true, force: true });
    },
  };
}

const missingServer = "Neither valkey-server nor redis-server is on the PATH";
let isSkipReported = false;

/**
 * Returns whether tests that need a server can run. With `CI` set it is always true, so that they fail without a server.
 * Otherwise a missing server is reported on standard error and its tests are skipped.
 */
export function canLaunchValkey(): boolean {
  if (process.env["CI"] || findServer() !== null) return true;
  if (!isSkipReported) process.stderr.write(`\nSKIPPED: tests against Valkey. ${missingServer}\n\n`);
  isSkipReported = true;
  return false;
}

function findServer(): string | null {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const paths = ["valkey-server", "redis-server"].flatMap((name) => folders.map((folder) => join(folder, name)));
  return paths.find((path) => existsSync(path)) ?? null;
}

/** Tries another port if a process takes the free one before the server does. */
async function startOn(
  command: string,
  directory: string,
  { port: wanted, password, args = [], directory: kept }: LaunchValkeyOptions,
): Promise<{ readonly server: LaunchedProcess; readonly port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = wanted ?? (await freePort());
    const server = launchProcess({
      command,
      args: [
        ...["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory],
        // The gateway in front of a remote upstream refuses a server without an append-only file.
        ...["--appendonly", "yes", "--appendfsync", kept === undefined ? "no" : "always"],
        ...(password === undefined ? [] : ["--requirepass", password]),
        ...args,
      ],
    });
    try {
      await server.waitForOutput(/Ready to accept connections/);
      return { server, port };
    } catch (cause) {
      await server.stop("SIGKILL");
      if (attempt === 5 || !/already in use/.test(server.output())) throw cause;
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => void server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("the system assigned no port");
  return address.port;
}
