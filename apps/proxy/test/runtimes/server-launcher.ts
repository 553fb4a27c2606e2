import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launchProcess } from "@letta-environments/testkit";
import { createLocalKey, revokeLocalKey } from "../support/local-keys.ts";
import type { IssuedKey, KeyOptions, LaunchedGateway, LaunchRequest, RuntimeLauncher } from "./launcher.ts";
import { gatewayCommand, runtimeVersion, type ServerRuntime } from "./runtime-commands.ts";

/** A `letta-proxy` command; the words of the command are added to it. */
export type GatewayCommand = readonly [program: string, ...words: string[]];

/**
 * Starts the built gateway as a process of a runtime; its keys are made in its data directory, beside it.
 *
 * @param command runs the gateway. Default: that of the build
 */
export function createServerLauncher(
  runtime: ServerRuntime,
  command: GatewayCommand = gatewayCommand(runtime),
): RuntimeLauncher {
  return {
    name: runtime,
    version: runtimeVersion(runtime),
    launch: (request) => launch(runtime, command, request),
  };
}

async function launch(
  runtime: ServerRuntime,
  [program, ...words]: GatewayCommand,
  { config, environment, maxOpenFiles }: LaunchRequest,
): Promise<LaunchedGateway> {
  const folder = await mkdtemp(join(tmpdir(), `letta-proxy-${runtime}-`));
  const configFile = join(folder, "proxy.config.json");
  await writeFile(configFile, JSON.stringify(config));
  const where = ["--data-dir", join(folder, "data"), "--config", configFile];
  const start = [program, ...words, "start", "--port", "0", "--log", "json", ...where];
  const [command = program, ...args] =
    maxOpenFiles === undefined ? start : ["sh", "-c", `ulimit -n ${maxOpenFiles} && exec "$@"`, "sh", ...start];
  const gateway = launchProcess({ command, args, cwd: folder, env: { HOME: folder, ...environment } });

  const [, url = ""] = await gateway.waitForOutput(/"event":"listening".*?"url":"([^"]+)"/);
  return {
    url,
    pid: gateway.pid,
    log: () => gateway.standardOutput(),
    async createKey({ scopes, deviceIds = [] }: KeyOptions): Promise<IssuedKey> {
      const key = await createLocalKey([
        ...["--name", "suite", ...where],
        ...scopes.flatMap((scope) => ["--scope", scope]),
        ...deviceIds.flatMap((deviceId) => ["--device", deviceId]),
      ]);
      return { id: key.split("_")[1] ?? "", key };
    },
    revokeKey: (id) => revokeLocalKey([id, ...where]),
    async stop() {
      const { code } = await gateway.stop();
      await rm(folder, { recursive: true, force: true });
      if (code !== 0) throw new Error(`The gateway ended with ${code}:\n${gateway.output().slice(-2_000)}`);
    },
  };
}
