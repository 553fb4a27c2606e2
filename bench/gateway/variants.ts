import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { ServerRuntime } from "../../apps/proxy/test/runtimes/runtime-commands.ts";
import { pins } from "../harness/pin.ts";
import { moveToCore } from "../harness/proc.ts";
import type { BenchmarkResult, Table } from "../harness/result.ts";
import { format, summarise } from "../harness/statistics.ts";
import { startServer } from "../start.ts";
import { type LoadName, loadTitles, remoteLoads } from "./loads.ts";
import type { MeasuredLoad } from "./measure-rounds.ts";
import { measureRemote } from "./remote.ts";
import { loadCore } from "./run-load.ts";
import { type GatewayOptions, startGateway } from "./servers/start-gateway.ts";
import { defaultToleratedShare } from "./slice.ts";
import { dataOf, summariseDifference, summariseFigure } from "./summary.ts";
import type { System } from "./system.ts";

/** How a variant differs from the gateway with its defaults. */
type Variant = Pick<GatewayOptions, "config" | "dist" | "files" | "flags" | "scopes">;

const scopes = ["list", "read", "send"];
const files = ["console", "docs-pages.json"];
/** The first is what the others are compared with. */
const defaultVariants: Readonly<Record<string, Variant>> = {
  "without the files of console and docs": { scopes, config: { console: { enabled: false } } },
  "console built in, off": { scopes, files, config: { console: { enabled: false } } },
  "console on": { scopes, files, config: { console: { enabled: true } } },
  "console off, key with details": { files, config: { console: { enabled: false } } },
  "console and metrics off": { scopes, files, config: { console: { enabled: false }, metrics: { enabled: false } } },
};

const rounds = Number(process.env["VARIANT_ROUNDS"] ?? 9);
const seconds = Number(process.env["VARIANT_SECONDS"] ?? 1);
const connections = 64;
const starts = 15;

/**
 * Measures variants of the gateway in turn, in one run: settings, another checkout, flags of the runtime. VARIANTS is a JSON object of
 * {@link Variant} by name; VARIANT_RUNTIME and VARIANT_ROWS say where and what.
 */
export async function measureVariants(): Promise<BenchmarkResult> {
  const runtime = (process.env["VARIANT_RUNTIME"] ?? "node") as ServerRuntime;
  const given = process.env["VARIANTS"];
  const variants = given === undefined ? defaultVariants : (JSON.parse(given) as typeof defaultVariants);
  const rows = (process.env["VARIANT_ROWS"] ?? "start,hit-one,hit-list").split(",");
  // Starts may use both cores.
  const started = rows.includes("start") ? [await measureStarts(runtime, variants)] : [];
  const loads = remoteLoads.filter((load) => rows.includes(load));
  const systems = Object.entries(variants).map(([name, variant]): System => ({
    id: name,
    name,
    kind: "gateway",
    loads,
    missing: null,
    start: (origin) => startGateway(runtime, { origin, data: "memory", ...variant }),
  }));
  moveToCore(process.pid, loadCore);
  const toleratedShare = Number(process.env["GATEWAY_TOLERATE"] ?? defaultToleratedShare);
  const options = { rounds, seconds, connections, warmUpSeconds: 4, toleratedShare };
  const measured = await measureRemote(systems, { loads, rounds: options, latencyRounds: null });
  const names = Object.keys(variants);
  return {
    tables: [
      ...started.map((times) => tableOfStarts(times, runtime)),
      ...[...measured.loads].map(([load, slices]) => tableOfVariants(load, slices, runtime, names)),
    ],
    goals: [],
    data: [
      ...started.map((times) => [...times]),
      [...measured.loads].map(([load, slices]) => ({ load, ...dataOf(slices) })),
    ],
  };
}

/** Milliseconds from the start to the first 200 of each variant, started in turn. */
async function measureStarts(
  runtime: ServerRuntime,
  variants: Readonly<Record<string, Variant>>,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const times = new Map(Object.keys(variants).map((name) => [name, [] as number[]]));
  const folders = new Map(
    Object.keys(variants).map((name) => [name, mkdtempSync(join(tmpdir(), "letta-bench-start-"))]),
  );
  // The first round makes the data directories and is not counted.
  for (let round = 0; round <= starts; round++) {
    for (const [name, variant] of Object.entries(variants)) {
      const folder = folders.get(name) ?? "";
      writeFileSync(join(folder, "proxy.config.json"), JSON.stringify(variant.config ?? {}));
      const ms = await startServer(runtime, folder, variant);
      if (round > 0) times.get(name)?.push(ms);
    }
  }
  for (const folder of folders.values()) rmSync(folder, { recursive: true, force: true });
  return times;
}

function tableOfStarts(times: ReadonlyMap<string, readonly number[]>, runtime: ServerRuntime): Table {
  return {
    caption: `**Start** on ${runtime}: milliseconds to the first 200 of /livez, ${starts} starts each in turn. Median (smallest to largest).`,
    columns: ["variant", "start to first 200"],
    rows: [...times].map(([name, all]) => [name, format(summarise(all), 1)]),
  };
}

function tableOfVariants(
  load: LoadName,
  { slices }: MeasuredLoad,
  runtime: ServerRuntime,
  names: readonly string[],
): Table {
  const cpuUs = (slice: { readonly cpuUs: number; readonly requests: number }): number => slice.cpuUs / slice.requests;
  return {
    caption:
      `**${loadTitles[load]}** on ${runtime}; ${connections} connections, ${rounds} rounds of slices of ${seconds} s, ` +
      `${pins() ? "gateway and load on a core each" : "not pinned"}. Differences are taken within a round. Median (smallest to largest).`,
    columns: ["variant", "CPU us a request", "difference", "slices"],
    rows: names.map((name) => [
      name,
      format(summariseFigure(slices, name, cpuUs), 1),
      format(summariseDifference(slices, name, names[0] ?? "", cpuUs), 1),
      String(slices.filter(({ system }) => system === name).length),
    ]),
  };
}
