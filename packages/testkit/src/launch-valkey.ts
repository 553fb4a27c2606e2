import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import { type LaunchedProcess, launchProcess } from "./launch-process.ts";

/** A Valkey server of the test's own, on loopback. It keeps its data in memory alone. */
export interface LaunchedValkey {
  /** With the password, where there is one. */
  readonly url: string;
  readonly port: number;
  /** Stops the whole process: connections stay open and nothing is answered, as when a machine hangs. */
  pause(): void;
  resume(): void;
  /** Kills the server; what it held is lost. */
  stop(): Promise<void>;
}

/** How to start a server. */
export interface LaunchValkeyOptions {
  /** A free one when absent; name that of a stopped server to have one "come back". */
  readonly port?: number;
  readonly password?: string;
  /** Further options of the server, such as `["--user", "..."]`. */
  readonly args?: readonly string[];
}

/** Starts a `valkey-server` (or `redis-server`) and resolves when it accepts connections. */
export async function launchValkey(options: LaunchValkeyOptions = {}): Promise<LaunchedValkey> {
  const command = findServer();
  if (command === null) throw new Error(missingServer);
  const directory = await mkdtemp(join(tmpdir(), "valkey-"));
  const { server, port } = await startOn(command, directory, options);
  const signIn = options.password === undefined ? "" : `:${encodeURIComponent(options.password)}@`;
  return {
    url: `valkey://${signIn}127.0.0.1:${port}`,
    port,
    pause: () => void process.kill(server.pid, "SIGSTOP"),
    resume: () => void process.kill(server.pid, "SIGCONT"),
    async stop() {
      // A paused process takes no other signal.
      await server.stop("SIGKILL");
      await rm(directory, { recursive: true, force: true });
    },
  };
}

const missingServer = "Neither valkey-server nor redis-server is on the PATH";
let isSkipSaid = false;

/**
 * Whether tests that need a server can run. Where `CI` is set it is always true, so that a missing server fails them; elsewhere
 * a missing one is said on standard error and its tests are skipped.
 */
export function canLaunchValkey(): boolean {
  if (process.env["CI"] || findServer() !== null) return true;
  if (!isSkipSaid) process.stderr.write(`\nSKIPPED: tests against Valkey. ${missingServer}\n\n`);
  isSkipSaid = true;
  return false;
}

function findServer(): string | null {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const paths = ["valkey-server", "redis-server"].flatMap((name) => folders.map((folder) => join(folder, name)));
  return paths.find((path) => existsSync(path)) ?? null;
}

/** A free port may be taken by somebody else before the server has it; then another one is tried. */
async function startOn(
  command: string,
  directory: string,
  { port: wanted, password, args = [] }: LaunchValkeyOptions,
): Promise<{ readonly server: LaunchedProcess; readonly port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = wanted ?? (await freePort());
    const server = launchProcess({
      command,
      args: [
        ...["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory],
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
  if (address === null || typeof address === "string") throw new Error("the system gave no port");
  return address.port;
}
