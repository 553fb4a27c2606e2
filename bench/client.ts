import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { runWorker, workerRuntimes } from "./harness/measure-steps.ts";
import type { BenchmarkResult } from "./harness/result.ts";
import { quantile } from "./harness/statistics.ts";

const here = import.meta.dirname;
const raw = "raw fetch";

/** Programs that list environments, as a browser would load them. */
const programs: Readonly<Record<string, string>> = {
  [raw]: `const answer = await fetch("/v1/environments"); console.log(await answer.json());`,
  "ours, createTransport + listEnvironments": `import { createTransport, listEnvironments } from "@letta-environments/client";
    console.log(await listEnvironments(createTransport({ baseUrl: location.origin, apiKey: "k" })));`,
  "ours, createClient": `import { createClient } from "@letta-environments/client";
    console.log(await createClient({ baseUrl: location.origin, apiKey: "k" }).environments.list());`,
  "openapi-fetch 0.17": `import createClient from "openapi-fetch";
    console.log(await createClient({ baseUrl: location.origin }).GET("/v1/environments"));`,
  "ky 2.1": `import ky from "ky"; console.log(await ky.get(location.origin + "/v1/environments").json());`,
  "official SDK 1.12.1": `import Letta from "@letta-ai/letta-client";
    console.log(await new Letta({ baseURL: location.origin, apiKey: "k" }).environments.list());`,
};

/** Modules whose loading is timed; ours as one module, which is how it is published. */
const modules: Readonly<Record<string, string>> = {
  ours: `export * from "@letta-environments/client";`,
  "openapi-fetch 0.17": "openapi-fetch",
  "ky 2.1": "ky",
  "official SDK 1.12.1": "@letta-ai/letta-client",
};

/** Compares the client with its peers: bytes of a bundle, CPU of a call, CPU of an import. */
export async function measureClient(): Promise<BenchmarkResult> {
  const sizes = await Promise.all(
    Object.entries(programs).map(async ([name, contents]) => [name, await sizeOf(contents)] as const),
  );
  const calls = measureCalls();
  const imports = await measureImports();
  const sizeNamed = (name: string): number => sizes.find(([other]) => other === name)?.[1].gzip ?? Number.NaN;
  const list = sizeNamed("ours, createTransport + listEnvironments");
  const own = calls.list["ours"]?.own ?? Number.NaN;
  const load = imports["ours"] ?? Number.NaN;
  return {
    tables: [
      {
        caption:
          "Bytes of a browser bundle that lists environments, at the time of the run: esbuild, minified; gzip at level 9. `pnpm check` prints the current sizes of ours.",
        columns: ["program", "minified", "gzip", "ratio to ours (list)"],
        rows: sizes.map(([name, { bytes, gzip }]) => [name, `${bytes}`, `${gzip}`, (gzip / list).toFixed(2)]),
      },
      {
        caption:
          "CPU of a call on Node, in microseconds: lower quartile of slices that take turns; 3 rows, no network (fetch is injected).",
        columns: ["client", "a call", "over raw fetch"],
        rows: rowsOf(calls.list),
      },
      {
        caption: "The same for a send of 1 KB. Ours validates the body before the send and reports its outcome.",
        columns: ["client", "a send", "over raw fetch"],
        rows: rowsOf(calls.send),
      },
      {
        caption: "CPU of an import on Node, in milliseconds: third of eleven new processes.",
        columns: ["module", "import"],
        rows: Object.entries(imports).map(([name, ms]) => [name, ms.toFixed(1)]),
      },
    ],
    goals: [
      { goal: "a call costs at most 6 us over raw fetch", shown: `${own.toFixed(1)} us`, met: own <= 6 },
      { goal: "an import costs at most 3 ms", shown: `${load.toFixed(1)} ms`, met: load <= 3 },
    ],
    data: { sizes: Object.fromEntries(sizes), calls, imports },
  };
}

async function bundle(contents: string, minify: boolean): Promise<Uint8Array> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: here },
    bundle: true,
    minify,
    format: "esm",
    target: "es2023",
    platform: minify ? "browser" : "node",
    write: false,
  });
  return outputFiles[0]?.contents ?? new Uint8Array();
}

async function sizeOf(contents: string): Promise<{ readonly bytes: number; readonly gzip: number }> {
  const bytes = await bundle(contents, true);
  return { bytes: bytes.byteLength, gzip: gzipSync(bytes, { level: 9 }).byteLength };
}

type Calls = Readonly<Record<string, { readonly all: number; readonly own: number }>>;

function measureCalls(): { readonly list: Calls; readonly send: Calls } {
  const [node] = workerRuntimes();
  if (node === undefined) throw new Error("there is no Node");
  const worker = join(here, "in-process", "client-call-worker.ts");
  const samples = runWorker<Record<"list" | "send", Record<string, number[]>>>(node, worker);
  return { list: overRaw(samples.list), send: overRaw(samples.send) };
}

function overRaw(samples: Readonly<Record<string, readonly number[]>>): Calls {
  const middle = Object.entries(samples).map(([name, us]) => [name, quantile([...us], 0.25)] as const);
  const base = middle.find(([name]) => name === raw)?.[1] ?? Number.NaN;
  return Object.fromEntries(middle.map(([name, all]) => [name, { all, own: all - base }]));
}

function rowsOf(calls: Calls): string[][] {
  return Object.entries(calls).map(([name, { all, own }]) => [name, all.toFixed(1), own.toFixed(1)]);
}

async function measureImports(): Promise<Record<string, number>> {
  const folder = mkdtempSync(join(here, "reports-client-"));
  try {
    const ours = join(folder, "ours.mjs");
    writeFileSync(ours, await bundle(modules["ours"] ?? "", false));
    const results: Record<string, number> = {};
    for (const [name, specifier] of Object.entries(modules)) {
      const from = JSON.stringify(name === "ours" ? ours : specifier);
      const script = `const before = process.cpuUsage(); await import(${from});
        const { user, system } = process.cpuUsage(before); process.stdout.write(String((user + system) / 1_000));`;
      const once = (): number =>
        Number(
          execFileSync(process.execPath, ["--input-type=module", "--eval", script], { cwd: here, encoding: "utf8" }),
        );
      results[name] = Array.from({ length: 11 }, once).sort((left, right) => left - right)[2] ?? Number.NaN;
    }
    return results;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
