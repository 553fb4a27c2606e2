/** The real Letta Code device program, for tests and for people who try things out. */
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { seedLocalAgent, setDeviceId, setPermissionMode } from "./local-conversation.ts";
import { type LaunchedProcess, launchProcess, type LaunchOptions } from "./process.ts";

/** How to start the device program. */
export interface DeviceOptions {
  readonly baseUrl: string;
  readonly apiKey: string;
  /** The device's home folder: its identity, its local agents and its logs. */
  readonly home: string;
  /** The folder in which its tools run. */
  readonly workingDirectory: string;
  readonly connectionName: string;
  /** Identity of the device. By default it is created on the first start and kept in `home`. */
  readonly deviceId?: string;
  /** Runs the turns: the device itself, or an agents API at `baseUrl`. Default: `local`. */
  readonly backend?: "local" | "api";
  /** Version of the program. Default: the newest installed one. */
  readonly version?: DeviceVersion;
  /**
   * A turn for a message that contains `$TRANSCRIPT_PATH` runs one Bash command, for which the device asks permission in
   * mode `standard`. Default: false.
   */
  readonly usesTools?: boolean;
}

/** A real Letta Code device with its own process and home folder. */
export interface LaunchedDevice {
  readonly deviceId: string;
  readonly process: LaunchedProcess;
  /** Stops the process with SIGTERM and removes its home. */
  stop(): Promise<void>;
  /** Kills the process with SIGKILL and removes its home. */
  kill(): Promise<void>;
}

/** A version of the program that is installed. */
export type DeviceVersion = "0.30.28" | "0.32.18";

const newest: DeviceVersion = "0.32.18";

/** The program of each version, and its option for the name of the device. */
const programs: Readonly<Record<DeviceVersion, { readonly folder: string; readonly nameOption: string }>> = {
  "0.30.28": { folder: "letta-code-0.30.28", nameOption: "--env-name" },
  "0.32.18": { folder: "@letta-ai/letta-code", nameOption: "--computer-name" },
};

function programOf(version: DeviceVersion): string {
  return findProgram(resolve(import.meta.dirname, "../node_modules", programs[version].folder), version);
}

/**
 * Returns the path of the program in the folder of its package, which has no export for it; it is the same in every version seen. Throws if the
 * folder has another version: the workspace catalog selects the version of `@letta-ai/letta-code`, and a test that names a version must not run
 * another one.
 */
export function findProgram(folder: string, version: string): string {
  const manifest: unknown = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const { version: installed }: { readonly version?: unknown } = Object(manifest);
  if (installed !== version) {
    const rule =
      "'programs' in packages/testkit/src/device.ts must have the versions of the catalog in pnpm-workspace.yaml";
    throw new Error(`${folder} has Letta Code ${String(installed)}, not ${version}: ${rule}`);
  }
  return join(folder, "letta.js");
}

/** Text that the program prints, with `--debug`, when its socket is open. */
export const connectedLine = "Connected. Awaiting instructions.";

/** Starts a real device. Its agent `demoAgentId` replies "pong" to every message. */
export async function launchDevice(options: {
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly deviceId: string;
  readonly connectionName?: string;
  /** The device runs in mode `standard` and uses tools, so that it asks for permission; see {@link DeviceOptions}. */
  readonly asksPermission?: boolean;
  readonly backend?: "local" | "api";
  readonly version?: DeviceVersion;
}): Promise<LaunchedDevice> {
  const { deviceId, connectionName = deviceId, asksPermission = false } = options;
  const root = await mkdtemp(join(tmpdir(), "letta-device-"));
  const home = join(root, "home");
  const workingDirectory = join(root, "work");
  await mkdir(workingDirectory, { recursive: true });
  await seedLocalAgent(home);
  await setDeviceId(home, deviceId);
  if (asksPermission) await setPermissionMode(home, "standard");
  const command = deviceCommand({ ...options, home, workingDirectory, connectionName, usesTools: asksPermission });
  return launched(deviceId, launchProcess(command), root);
}

/**
 * Starts a real device with a shell command that uses `npx`, such as the one that `letta-proxy devices invite` prints. The pinned
 * program runs instead of the one that `npx` would download.
 */
export async function launchDeviceWith(options: {
  readonly command: string;
  readonly deviceId: string;
}): Promise<LaunchedDevice> {
  const { command, deviceId } = options;
  const root = await mkdtemp(join(tmpdir(), "letta-device-"));
  const [home, workingDirectory, bin] = ["home", "work", "bin"].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  for (const folder of [workingDirectory, bin]) await mkdir(folder, { recursive: true });
  await seedLocalAgent(home);
  // `npx -y PACKAGE server ...`
  const npx = `#!/bin/sh\nshift 2\nexec '${process.execPath}' '${programOf(newest)}' "$@" --debug\n`;
  await writeFile(join(bin, "npx"), npx, { mode: 0o755 });
  const device = launchProcess({
    command: "/bin/sh",
    args: ["-c", command],
    cwd: workingDirectory,
    env: {
      ...offlineEnvironment,
      HOME: home,
      LETTA_LISTENER_DEVICE_ID: deviceId,
      PATH: `${bin}:${process.env["PATH"]}`,
    },
  });
  return launched(deviceId, device, root);
}

/** A device that removes its folder when it ends. */
function launched(deviceId: string, device: LaunchedProcess, root: string): LaunchedDevice {
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    await device.stop(signal);
    await rm(root, { recursive: true, force: true, maxRetries: 5 });
  };
  return { deviceId, process: device, stop: () => end("SIGTERM"), kill: () => end("SIGKILL") };
}

/** With these variables, a device needs no model and connects only to its server. */
const offlineEnvironment = {
  LETTA_LOCAL_BACKEND_EXECUTOR: "deterministic",
  LETTA_CODE_TELEM: "0",
  DO_NOT_TRACK: "1",
  DISABLE_AUTOUPDATER: "1",
};

/**
 * Returns the command of a device that needs no account, no model and no network except for its server: the local backend
 * with the deterministic executor, which replies "pong" to every message. The program accepts a base URL of another vendor
 * only with `IGNORE_SELF_HOSTED_LISTENER_ERROR`. With `--debug` it prints lines instead of redrawing a screen, and stops
 * cleanly on a signal. A turn runs `git` and `bash` from PATH.
 */
export function deviceCommand(options: DeviceOptions): LaunchOptions {
  const { version = newest } = options;
  return {
    command: process.execPath,
    args: [
      ...[programOf(version), "server", "--backend", options.backend ?? "local"],
      ...[programs[version].nameOption, options.connectionName, "--debug"],
    ],
    cwd: options.workingDirectory,
    env: {
      HOME: options.home,
      LETTA_BASE_URL: options.baseUrl.replace(/\/+$/, ""),
      LETTA_API_KEY: options.apiKey,
      IGNORE_SELF_HOSTED_LISTENER_ERROR: "1",
      ...offlineEnvironment,
      ...(options.usesTools === true && { LETTA_LOCAL_BACKEND_EXECUTOR: "deterministic-reflection" }),
      ...(options.deviceId !== undefined && { LETTA_LISTENER_DEVICE_ID: options.deviceId }),
    },
  };
}
