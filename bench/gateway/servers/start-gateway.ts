/** Starts the built gateway, on a server runtime or in workerd, and makes a key for the load. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { launchProcess } from "../../../packages/testkit/src/process.ts";
import {
  installGateway,
  runtimeProgram,
  type ServerRuntime,
} from "../../../apps/proxy/test/runtimes/runtime-commands.ts";
import { administerKeys, workerSecrets } from "../../../apps/proxy/test/runtimes/workerd-launcher.ts";
import { firstAnswer, freePort } from "../../harness/first-answer.ts";
import { pinned } from "../../harness/pin.ts";
import { moveToCore } from "../../harness/proc.ts";
import { gatewayCore, loadCore } from "../run-load.ts";
import type { RunningSystem } from "../system.ts";

/** How a gateway is started. */
export interface GatewayOptions {
  /** Absent: with the embedded environment server. */
  readonly origin?: string;
  /** Where keys, sends and the audit log are. */
  readonly data: "memory" | "disk";
  readonly config?: Readonly<Record<string, unknown>>;
  /** The `apps/proxy/dist` of another checkout; absent: this one's. */
  readonly dist?: string;
  /** Further files and folders of `apps/proxy/dist` that are put beside the gateway's file. */
  readonly files?: readonly string[];
  /** Words for the runtime, before the file. */
  readonly flags?: readonly string[];
  /** Scopes of the key; absent: everything a caller may do in the rows. */
  readonly scopes?: readonly string[];
}

/** A folder in memory, where Linux has one. */
const memoryFolder = "/dev/shm";
/** Whether data can be held in memory, so that durability costs nothing. */
export const hasMemoryFolder: boolean = existsSync(memoryFolder);

const builtFolder = join(import.meta.dirname, "../../../apps/proxy/dist");

const scopes = ["list", "read", "send", "details"] as const;
const never = { limit: 60_000_000, windowMs: 60_000 };
/** The default policies for requests, with limits that are never reached. */
const policies = {
  "gateway-requests": { per: ["key"], ...never },
  "gateway-sends": { per: ["key", "device"], ...never, routes: ["sendMessage"] },
};

/** The gateway's settings; GATEWAY_CONFIG adds to them, as JSON. */
function configOf(more: GatewayOptions["config"] = {}): object {
  const given = JSON.parse(process.env["GATEWAY_CONFIG"] ?? "{}") as object;
  return { rateLimits: { policies }, ...more, ...given };
}

/** Starts `dist/<runtime>.js` on the gateway's core, as `letta-proxy start --log json`. Its log goes to /dev/null. */
export async function startGateway(runtime: ServerRuntime, options: GatewayOptions): Promise<RunningSystem> {
  // Deno opens nothing under /dev without all permissions.
  const inMemory = options.data === "memory" && hasMemoryFolder && runtime !== "deno";
  const parent = inMemory ? memoryFolder : tmpdir();
  const folder = await mkdtemp(join(parent, "letta-bench-gateway-"));
  await writeFile(join(folder, "proxy.config.json"), JSON.stringify(configOf(options.config)));
  const [program, ...words] = await installVariant(runtime, folder, options);
  const port = await freePort();
  const upstream = options.origin === undefined ? {} : { UPSTREAM_URL: options.origin, LETTA_API_KEY: "upstream" };
  const env = { HOME: folder, ...upstream };
  const start = [...words, "start", "--port", String(port), "--log", "json", "--data-dir", "data"];
  const [command, args] = pinned(gatewayCore, "sh", ["-c", 'exec "$@" > /dev/null', "sh", program, ...start]);
  const gateway = launchProcess({ command, args, cwd: folder, env });
  await firstAnswer(port, "/livez").catch((cause: unknown) => {
    throw new Error(`The gateway on ${runtime} did not start:\n${gateway.output()}`, { cause });
  });
  const create = ["keys", "create", "--name", "bench", "--data-dir", "data"];
  const granted = [...(options.scopes ?? scopes), ...(options.origin === undefined ? ["connect"] : [])];
  const key = execFileSync(program, [...words, ...create, ...granted.flatMap((scope) => ["--scope", scope])], {
    cwd: folder,
    env: { PATH: process.env["PATH"], ...env },
    encoding: "utf8",
  }).trim();
  return {
    pid: gateway.pid,
    helpers: [],
    key,
    portOf: () => port,
    async stop() {
      await gateway.stop("SIGINT");
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Copies the gateway as `options` want it into a folder, and returns the command that runs it there. */
export async function installVariant(
  runtime: ServerRuntime,
  folder: string,
  { dist = builtFolder, files = [], flags = [] }: Pick<GatewayOptions, "dist" | "files" | "flags">,
): Promise<readonly [program: string, ...words: string[]]> {
  const [program, ...words] = installGateway(runtime, folder, dist === builtFolder ? undefined : dist);
  for (const file of files) await cp(join(dist, file), join(folder, file), { recursive: true });
  return [program, ...flags, ...words];
}

/** Starts `dist/worker` in workerd. Workerd is on the gateway's core alone; what starts it, and reads its log, is on the other. */
export async function startWorker(origin: string): Promise<RunningSystem> {
  const variables = {
    ...workerSecrets,
    UPSTREAM_URL: origin,
    PROXY_CONFIG: JSON.stringify(configOf()),
  };
  const worker = await startWorkerd("gateway", { VARIABLES: JSON.stringify(variables) });
  const { key } = await administerKeys(`http://127.0.0.1:${worker.portOf("hit-one")}`).createKey({ scopes });
  return { ...worker, key };
}

/** Starts a Worker without a gateway. */
export function startBareWorker(): Promise<RunningSystem> {
  return startWorkerd("bare", {});
}

async function startWorkerd(worker: string, env: Readonly<Record<string, string>>): Promise<RunningSystem> {
  const port = await freePort();
  const script = join(import.meta.dirname, "workerd-host.mjs");
  const words = ["--disable-warning=ExperimentalWarning", script, worker, String(port)];
  const [command, args] = pinned(loadCore, runtimeProgram("node"), words);
  const host = launchProcess({ command, args, env });
  const [, pid = ""] = await host.waitForOutput(/workerd (\d+)/);
  moveToCore(Number(pid), gatewayCore);
  return {
    pid: Number(pid),
    helpers: [host.pid],
    key: null,
    portOf: () => port,
    async stop() {
      await host.stop();
    },
  };
}
