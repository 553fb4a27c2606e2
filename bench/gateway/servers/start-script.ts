import { join } from "node:path";
import { launchProcess } from "../../../packages/testkit/src/process.ts";
import { runtimeProgram, type ServerRuntime } from "../../../apps/proxy/test/runtimes/runtime-commands.ts";
import { pinned } from "../../harness/pin.ts";
import type { LoadName } from "../loads.ts";
import { gatewayCore } from "../run-load.ts";
import type { RunningSystem } from "../system.ts";

/** A script of this folder that announces the ports at which it listens. */
export interface ServerScript {
  readonly runtime: ServerRuntime;
  /** Relative to bench/. */
  readonly file: string;
  readonly key: string | null;
  /** Which of its ports a load goes to. */
  readonly portIndex: (load: LoadName) => number;
}

/** The arguments with which Deno runs a script of this folder. */
const denoWords = ["run", "--no-config", "--no-lock", "-A"];

/** Starts a script on the gateway's core. */
export async function startScript(script: ServerScript, origin: string): Promise<RunningSystem> {
  const { pid, ports, stop } = await launchScript(script.runtime, script.file, gatewayCore, [origin]);
  return { pid, helpers: [], key: script.key, portOf: (load) => ports[script.portIndex(load)] ?? 0, stop };
}

/** Starts a script of this folder on a core and resolves with its ports. */
export async function launchScript(
  runtime: ServerRuntime,
  file: string,
  core: number,
  args: readonly string[],
): Promise<{ readonly pid: number; readonly ports: readonly number[]; stop(): Promise<void> }> {
  const flags = runtime === "deno" ? denoWords : runtime === "node" ? ["--disable-warning=ExperimentalWarning"] : [];
  const path = join(import.meta.dirname, "../..", file);
  const [command, words] = pinned(core, runtimeProgram(runtime), [...flags, path, ...args]);
  const server = launchProcess({ command, args: words, env: { NODE_ENV: "production" } });
  const [, listed = ""] = await server.waitForOutput(/listening ([\d ]+)/);
  return {
    pid: server.pid,
    ports: listed.trim().split(" ").map(Number),
    async stop() {
      await server.stop("SIGKILL");
    },
  };
}
