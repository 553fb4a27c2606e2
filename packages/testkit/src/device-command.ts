import { resolve } from "node:path";
import process from "node:process";
import type { LaunchOptions } from "./launch-process.ts";

/** How to start the real Letta Code device program. */
export interface DeviceOptions {
  readonly baseUrl: string;
  readonly apiKey: string;
  /** The device's home folder: its identity, its local agents and its logs. */
  readonly home: string;
  /** The folder in which its tools run. */
  readonly workingDirectory: string;
  readonly connectionName: string;
  /** Identity of the device; kept in `home` and made up on the first start when absent. */
  readonly deviceId?: string;
}

// The package exports no path to its program; its bin is there in every version seen.
const program = resolve(import.meta.dirname, "../node_modules/@letta-ai/letta-code/letta.js");

/** What the program prints, with `--debug`, once its socket is open. */
export const connectedLine = "Connected. Awaiting instructions.";

/**
 * The command of a device that needs no account, no model and no network but its server: the local backend with the
 * deterministic executor, which answers every message with "pong". The server named by the base URL is not the vendor's, which
 * the program accepts only with `IGNORE_SELF_HOSTED_LISTENER_ERROR`. `--debug` makes it print lines instead of redrawing a
 * screen, and stop cleanly on a signal. A turn runs `git` and `bash` from PATH.
 */
export function deviceCommand(options: DeviceOptions): LaunchOptions {
  return {
    command: process.execPath,
    args: [program, "server", "--backend", "local", "--computer-name", options.connectionName, "--debug"],
    cwd: options.workingDirectory,
    env: {
      HOME: options.home,
      LETTA_BASE_URL: options.baseUrl.replace(/\/+$/, ""),
      LETTA_API_KEY: options.apiKey,
      IGNORE_SELF_HOSTED_LISTENER_ERROR: "1",
      LETTA_LOCAL_BACKEND_EXECUTOR: "deterministic",
      LETTA_CODE_TELEM: "0",
      DO_NOT_TRACK: "1",
      DISABLE_AUTOUPDATER: "1",
      ...(options.deviceId !== undefined && { LETTA_LISTENER_DEVICE_ID: options.deviceId }),
    },
  };
}
