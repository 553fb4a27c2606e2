import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { build } from "esbuild";
import type { SuiteSetting } from "./suite.ts";

type Results = Readonly<Record<string, string | null>>;

/** Something that runs the suite. */
export interface Runtime {
  readonly name: string;
  readonly run: (setting: SuiteSetting) => Promise<Results>;
}

const require = createRequire(import.meta.url);
const chromium = "/usr/bin/chromium";

/** The programs themselves: the wrappers in `.bin` outlive a kill. */
const bun = join(dirname(require.resolve("bun/package.json")), "bin", "bun.exe");
const deno = join(dirname(require.resolve("deno/package.json")), "deno");

const commandLine = `import { runSuite } from "./suite.ts";
import process from "node:process";
process.stdout.write(JSON.stringify(await runSuite(JSON.parse(process.argv[2]))));`;
const worker = `import { runSuite } from "./suite.ts";
export default { fetch: async (request) => Response.json(await runSuite(await request.json())) };`;
const page = `import { runSuite } from "./suite.ts";
globalThis.runSuite = runSuite;`;

/** The suite as one module that runs without this repository. */
export async function bundle(contents: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: import.meta.dirname, loader: "ts" },
    bundle: true,
    format: "esm",
    platform: "neutral",
    external: ["node:process"],
    target: "es2023",
    write: false,
  });
  return outputFiles[0]?.text ?? "";
}

/** The page that the browser loads. */
export function browserPage(): Promise<string> {
  return bundle(page);
}

function program(name: string, command: string, words: readonly string[]): Runtime {
  return {
    name,
    async run(setting) {
      const folder = await mkdtemp(join(tmpdir(), "client-suite-"));
      try {
        const file = join(folder, "suite.mjs");
        await writeFile(file, await bundle(commandLine));
        const env = { PATH: process.env["PATH"] ?? "", HOME: folder, DENO_NO_UPDATE_CHECK: "1", DENO_DIR: folder };
        const options = { env, timeout: 60_000 };
        const { stdout } = await promisify(execFile)(command, [...words, file, JSON.stringify(setting)], options);
        return JSON.parse(stdout) as Results;
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

const workerd: Runtime = {
  name: "workerd",
  async run(setting) {
    const quiet = { DO_NOT_TRACK: "1", WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false" };
    Object.assign(process.env, quiet);
    const { createTestHarness } = await import("wrangler");
    const root = await mkdtemp(join(tmpdir(), "client-suite-"));
    await mkdir(join(root, "src"));
    await writeFile(join(root, "src", "worker.mjs"), await bundle(worker));
    const config = {
      name: "client-suite",
      main: "src/worker.mjs",
      compatibility_date: "2026-11-01",
      send_metrics: false,
    };
    await writeFile(join(root, "wrangler.json"), JSON.stringify(config));
    const server = createTestHarness({ root, workers: [{ configPath: "./wrangler.json" }] });
    try {
      await server.listen();
      const response = await server.fetch("/", { method: "POST", body: JSON.stringify(setting) });
      return (await response.json()) as Results;
    } finally {
      await server.close();
      await rm(root, { recursive: true, force: true });
    }
  },
};

/** @param origin Serves {@link browserPage}; the gateway must allow it. */
function browser(origin: string): Runtime {
  return {
    name: "Chromium",
    async run(setting) {
      const { chromium: launcher } = await import("playwright-core");
      const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
      const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];
      const instance = await launcher.launch({ executablePath: chromium, args: [...args, ...quiet] });
      try {
        const tab = await instance.newPage();
        await tab.goto(origin);
        const text = await tab.evaluate(`runSuite(${JSON.stringify(setting)}).then(JSON.stringify)`);
        return JSON.parse(String(text)) as Results;
      } finally {
        await instance.close();
      }
    },
  };
}

/** The runtimes to test. Outside CI a missing browser is reported and left out; in CI it fails its tests. */
export function runtimes(origin: () => string): readonly Runtime[] {
  const all = [
    program("Node", process.execPath, []),
    program("Bun", bun, []),
    program("Deno", deno, ["run", "--no-config", "--no-lock", "--cached-only", "--allow-net=127.0.0.1"]),
    workerd,
  ];
  if (!existsSync(chromium) && !process.env["CI"]) {
    process.stderr.write(`\nSKIPPED: the client's suite in a browser. There is no ${chromium}\n\n`);
    return all;
  }
  return [...all, { name: "Chromium", run: (setting) => browser(origin()).run(setting) }];
}
