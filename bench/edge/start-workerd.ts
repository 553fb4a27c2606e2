/**
 * Starts workerd itself, without wrangler, whose proxy of Node.js would be measured too. Every Worker of the benchmark is in one
 * process on one core: the built gateway, bare Workers, the service behind the Cache API, and the upstream.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { workerSecrets } from "../../apps/proxy/test/runtimes/workerd-launcher.ts";
import { pinned } from "../harness/pin.ts";
import { fixedBody } from "../systems/fixed-answer.ts";

/** A Worker with a socket. `counting` is the gateway with counters, see `workers/counting.js`. */
export type EdgeWorker = "gateway" | "counting" | "bare";

/** A running workerd. */
export interface RunningWorkerd {
  /** The address of each Worker that was started. */
  url(worker: EdgeWorker): string;
  /** CPU time of the process so far, in microseconds. */
  cpuUs(): number;
  stop(): Promise<void>;
}

const root = join(import.meta.dirname, "../..");
const require = createRequire(createRequire(join(root, "apps/proxy/package.json")).resolve("wrangler"));

/** The version of workerd. */
export const workerdVersion: string = (require("workerd/package.json") as { readonly version: string }).version;

/** The objects of the gateway: bindings and classes of `wrangler.jsonc`. */
const objects = {
  KEYS: "KeyObject",
  LIMITS: "RateLimitObject",
  FLIGHTS: "FlightObject",
  AUDIT: "AuditObject",
  TENANTS: "TenantObject",
} as const;

const flags = `compatibilityDate = "2026-11-01", compatibilityFlags = ["enable_request_signal"]`;
const rowText: string = new TextDecoder().decode(fixedBody);
const text = (value: string): string => JSON.stringify(value);

function moduleOf(name: string, path: string): string {
  return `(name = ${text(name)}, esModule = ${text(readFileSync(path, "utf8"))})`;
}

function simpleWorker(name: string): string {
  const path = join(import.meta.dirname, "workers", `${name}.js`);
  return `(name = ${text(name)}, worker = (modules = [${moduleOf("main.js", path)}], ${flags},
    bindings = [(name = "BODY", text = ${text(rowText)})]))`;
}

function bareWorker(): string {
  const path = join(import.meta.dirname, "workers/bare.js");
  return `(name = "bare", worker = (modules = [${moduleOf("main.js", path)}], ${flags},
    bindings = [(name = "ONE", text = ${text(rowText)}), (name = "COUNTER", durableObjectNamespace = (className = "Counter"))],
    durableObjectNamespaces = [(className = "Counter", uniqueKey = "counter", enableSql = true)],
    durableObjectStorage = (localDisk = "disk")))`;
}

function gatewayWorker(name: "gateway" | "counting", config: object): string {
  const folder = join(root, "apps/proxy/dist/worker");
  const built = readdirSync(folder).filter((file) => file.endsWith(".js"));
  const first = name === "gateway" ? [] : [moduleOf("counting.js", join(import.meta.dirname, "workers/counting.js"))];
  const modules = [...first, ...built.toSorted(mainFirst).map((file) => moduleOf(file, join(folder, file)))];
  const variables = {
    ...workerSecrets,
    UPSTREAM_URL: "https://upstream.example",
    PROXY_CONFIG: JSON.stringify(config),
  };
  const bindings = [
    ...Object.entries(variables).map(([key, value]) => `(name = ${text(key)}, text = ${text(value)})`),
    ...Object.entries(objects).map(
      ([key, className]) => `(name = ${text(key)}, durableObjectNamespace = (className = ${text(className)}))`,
    ),
    `(name = "ASSETS", service = "upstream")`,
  ];
  const namespaces = Object.values(objects).map(
    (className) => `(className = ${text(className)}, uniqueKey = ${text(`${name} ${className}`)}, enableSql = true)`,
  );
  return `(name = ${text(name)}, worker = (modules = [${modules.join(", ")}], ${flags}, bindings = [${bindings.join(", ")}],
    durableObjectNamespaces = [${namespaces.join(", ")}], durableObjectStorage = (localDisk = "disk"),
    cacheApiOutbound = "cache", globalOutbound = "upstream"))`;
}

function mainFirst(left: string, right: string): number {
  const main = "cloudflare.js";
  return Number(right === main) - Number(left === main);
}

function configText(workers: readonly EdgeWorker[], folder: string, config: object): string {
  const services = workers.map((worker) => (worker === "bare" ? bareWorker() : gatewayWorker(worker, config)));
  const sockets = workers.map(
    (name) => `(name = ${text(name)}, address = "127.0.0.1:0", http = (), service = ${text(name)})`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
    const config :Workerd.Config = (
      services = [${[...services, simpleWorker("cache"), simpleWorker("upstream")].join(", ")},
        (name = "disk", disk = (path = ${text(join(folder, "disk"))}, writable = true))],
      sockets = [${sockets.join(", ")}],
    );`;
}

/** Starts these Workers on the first core, with the configuration of the gateway, and resolves when all of them listen. */
export async function startWorkerd(workers: readonly EdgeWorker[], config: object = {}): Promise<RunningWorkerd> {
  const folder = mkdtempSync(join(tmpdir(), "letta-bench-edge-"));
  mkdirSync(join(folder, "disk"));
  writeFileSync(join(folder, "config.capnp"), configText(workers, folder, config));
  const { default: program } = require("workerd") as { readonly default: string };
  const words = ["serve", "--experimental", "--control-fd=3", join(folder, "config.capnp")];
  const [command, args] = pinned(0, program, words);
  // Its log goes nowhere: reading it would cost the other core time.
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "inherit", "pipe"] });
  const ports = await readPorts(child, workers.length);
  return {
    url: (worker) => `http://127.0.0.1:${ports.get(worker)}`,
    cpuUs: () => cpuUsOf(child.pid ?? 0),
    async stop() {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Reads the ports that workerd has chosen from its control channel. */
async function readPorts(child: ChildProcess, count: number): Promise<ReadonlyMap<string, number>> {
  const control = child.stdio[3];
  if (control === null || control === undefined || !("read" in control))
    throw new Error("workerd has no control channel.");
  const ports = new Map<string, number>();
  let received = "";
  for await (const chunk of control) {
    received += String(chunk);
    for (const [, name = "", port] of received.matchAll(/"socket":"(\w+)","port":(\d+)/g))
      ports.set(name, Number(port));
    if (ports.size === count) return ports;
  }
  throw new Error("workerd ended before it listened.");
}

/** CPU time of a process, in steps of a hundredth of a second: user and system time of proc(5). */
function cpuUsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}
