/** Starts the gateway and runs its commands as users do, with real keys. For one in the process of the test, see `apps/proxy/test/support/`. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import type { Scope } from "@letta-environments/schema";
import { baseEnvironment, type LaunchedProcess, launchProcess } from "./process.ts";

/** Tests that run after a build name the built file, which starts in a quarter of the time. */
const entry =
  process.env["LETTA_PROXY_ENTRY"] ?? resolve(import.meta.dirname, "../../../apps/proxy/src/runtimes/node.ts");

/** Options for `letta-proxy keys create`. */
export interface NewKey {
  readonly scopes: readonly Scope[];
  readonly tenant?: string;
  readonly deviceIds?: readonly string[];
  readonly more?: readonly string[];
}

/** A proxy started as a user starts it, with `letta-proxy start` in its own process. */
export interface LaunchedProxy {
  readonly url: string;
  readonly dataDir: string;
  readonly process: LaunchedProcess;
  /** Makes a key as `letta-proxy keys create` does, in the same data directory, and resolves with it. */
  createKey(key: NewKey): Promise<string>;
  /** Stops the process and removes the data directory, unless the test provided it. */
  stop(): Promise<void>;
}

/** Options of a proxy. */
export interface LaunchProxyOptions {
  /** Kept after the stop. By default a temporary directory is created and removed. */
  readonly dataDir?: string;
  /** Default: 0, which selects a free port. */
  readonly port?: number;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts a proxy on loopback and resolves when it accepts requests. */
export async function launchProxy(options: LaunchProxyOptions = {}): Promise<LaunchedProxy> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), "letta-proxy-")));
  const proxy = launchProcess({
    command: process.execPath,
    args: [
      entry,
      "start",
      "--port",
      String(options.port ?? 0),
      "--log",
      "json",
      "--data-dir",
      dataDir,
      ...(options.args ?? []),
    ],
    ...(options.env !== undefined && { env: options.env }),
  });
  const [, url = ""] = await proxy.waitForOutput(/"event":"listening".*?"url":"([^"]+)"/);
  return {
    url,
    dataDir,
    process: proxy,
    createKey: (key) => createKey(dataDir, key),
    async stop() {
      await proxy.stop();
      if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Runs a `letta-proxy` command with text on its standard input and resolves with its output. Rejects when it fails. */
export async function runLettaProxy(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  input = "",
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const run = promisify(execFile)(process.execPath, [entry, ...args], { env: { ...baseEnvironment, ...env } });
  // A command that does not read has closed its end.
  run.child.stdin?.on("error", () => undefined).end(input);
  return run;
}

let makeKey = async (options: readonly string[]): Promise<string> =>
  (await runLettaProxy(["keys", "create", ...options])).stdout.trim();

/** Replaces the command that makes the keys of {@link LaunchedProxy} by a function that takes its options. */
export function makeKeysWith(make: (options: readonly string[]) => Promise<string>): void {
  makeKey = make;
}

function createKey(dataDir: string, { scopes, tenant, deviceIds = [], more = [] }: NewKey): Promise<string> {
  return makeKey([
    ...["--name", "test", "--data-dir", dataDir],
    ...(tenant === undefined ? [] : ["--tenant", tenant]),
    ...scopes.flatMap((scope) => ["--scope", scope]),
    ...deviceIds.flatMap((deviceId) => ["--device", deviceId]),
    ...more,
  ]);
}
