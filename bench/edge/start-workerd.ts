/**
 * Starts the Workers of the benchmark in one process on one core: the built gateway, bare Workers, the service behind the Cache API, and
 * the upstream.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  gatewayService,
  moduleOf,
  startBareWorkerd,
  text,
  workerFlags,
} from "../../apps/proxy/test/runtimes/bare-workerd.ts";
import { createWorkerdLauncher } from "../../apps/proxy/test/runtimes/workerd-launcher.ts";
import { pinned } from "../harness/pin.ts";
import { fixedBody } from "../systems/fixed-answer.ts";

/** The version of workerd. */
export const workerdVersion: string = createWorkerdLauncher().version;

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

const rowText: string = new TextDecoder().decode(fixedBody);

function moduleFrom(name: string, file: string): string {
  return moduleOf(name, readFileSync(join(import.meta.dirname, "workers", file), "utf8"));
}

function simpleWorker(name: string): string {
  return `(name = ${text(name)}, worker = (modules = [${moduleFrom("main.js", `${name}.js`)}], ${workerFlags},
    bindings = [(name = "BODY", text = ${text(rowText)})]))`;
}

function bareWorker(): string {
  return `(name = "bare", worker = (modules = [${moduleFrom("main.js", "bare.js")}], ${workerFlags},
    bindings = [(name = "ONE", text = ${text(rowText)}), (name = "COUNTER", durableObjectNamespace = (className = "Counter"))],
    durableObjectNamespaces = [(className = "Counter", uniqueKey = "counter", enableSql = true)],
    durableObjectStorage = (localDisk = "disk")))`;
}

function gatewayWorker(name: "gateway" | "counting", config: object): string {
  return gatewayService(name, {
    config,
    upstreamUrl: "https://upstream.example",
    ...(name === "counting" && { main: moduleFrom("counting.js", "counting.js") }),
    services: { assets: "upstream", cache: "cache", outgoing: "upstream" },
  });
}

/** Starts these Workers on the first core, with the configuration of the gateway, and resolves when all of them listen. */
export async function startWorkerd(workers: readonly EdgeWorker[], config: object = {}): Promise<RunningWorkerd> {
  const services = workers.map((worker) => (worker === "bare" ? bareWorker() : gatewayWorker(worker, config)));
  // Its log goes nowhere: reading it would cost the other core time.
  const workerd = await startBareWorkerd([...services, simpleWorker("cache"), simpleWorker("upstream")], workers, {
    command: (program, words) => pinned(0, program, words),
  });
  return { url: workerd.url, cpuUs: () => cpuUsOf(workerd.process.pid ?? 0), stop: workerd.stop };
}

/** CPU time of a process, in steps of a hundredth of a second: user and system time of proc(5). */
function cpuUsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}
