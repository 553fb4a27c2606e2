/**
 * Checks the sizes in budgets.json against what `pnpm build` wrote. Bundles are minified for browsers from the published files of
 * our packages; the Worker counts with all its modules. Sizes are bytes after `gzip -9`.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { repositoryRoot } from "../lib/repository.mjs";

/**
 * @typedef {object} BundleBudget
 * @property {string} name
 * @property {string} code a module, as a user would write it
 * @property {string} from folder whose dependencies it can import
 * @property {number} maximumBytes
 */

/**
 * @typedef {object} ConsoleBudget sizes in bytes
 * @property {number} script scripts of the first view
 * @property {number} style
 * @property {number} firstView everything that the first view loads
 * @property {number} everything all files, with the views and the charts that are loaded when they are needed
 */

/** @type {{ bundles: BundleBudget[], worker: { maximumBytes: number }, workerWithConsole: { maximumBytes: number }, console: ConsoleBudget }} */
const budgets = JSON.parse(readFileSync(join(repositoryRoot, "budgets.json"), "utf8"));

/** @type {import("esbuild").Plugin} Resolves packages of this repository as their published `exports` do. */
const asPublished = {
  name: "as-published",
  setup({ onResolve }) {
    onResolve({ filter: /^@letta-environments\// }, ({ path }) => {
      const [, name = "", ...below] = path.split("/");
      const folder = join(repositoryRoot, "packages", name);
      const { publishConfig } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
      const file = publishConfig.exports[[".", ...below].join("/")].import.default;
      return { path: join(folder, file), sideEffects: false };
    });
  },
};

/** @param {string | Uint8Array} content */
const gzipBytes = (content) => gzipSync(content, { level: 9 }).byteLength;

/** @param {BundleBudget} budget */
async function measureBundle({ code, from }) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: join(repositoryRoot, from), loader: "ts" },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2023",
    write: false,
    plugins: [asPublished],
  });
  return gzipBytes(outputFiles[0]?.contents ?? new Uint8Array());
}

/** The modules of a built Worker by name. @param {string} name of its folder */
function readWorker(name) {
  const folder = join(repositoryRoot, "apps/proxy/dist", name);
  const names = readdirSync(folder).filter((name) => name.endsWith(".js"));
  return new Map(names.map((name) => [name, readFileSync(join(folder, name), "utf8")]));
}

let failures = 0;
/** @param {string} name @param {number} bytes @param {number} maximumBytes */
function compare(name, bytes, maximumBytes) {
  const isOver = bytes > maximumBytes;
  if (isOver) failures++;
  process.stdout.write(`${`${bytes} of ${maximumBytes} B`.padStart(18)}  ${name}${isOver ? "  OVER BUDGET" : ""}\n`);
}

for (const budget of budgets.bundles) compare(budget.name, await measureBundle(budget), budget.maximumBytes);

/** @param {string} title @param {ReadonlyMap<string, string>} worker @param {number} maximumBytes */
function compareWorker(title, worker, maximumBytes) {
  const sizes = [...worker].map(([name, text]) => /** @type {const} */ ([name, gzipBytes(text)]));
  compare(
    title,
    sizes.reduce((sum, [, bytes]) => sum + bytes, 0),
    maximumBytes,
  );
  for (const [name, bytes] of sizes) process.stdout.write(`${`${bytes} B`.padStart(18)}    ${name}\n`);
  // The API description is a static asset beside the Worker and must not be bundled into it.
  if ([...worker.values()].some((text) => /openapi\W{1,4}3\.1/.test(text))) {
    process.stdout.write("The Worker contains the API description.\n");
    failures++;
  }
}

const plainWorker = readWorker("worker");
compareWorker("worker: all modules", plainWorker, budgets.worker.maximumBytes);
compareWorker(
  "worker with the console: all modules",
  readWorker("worker-console"),
  budgets.workerWithConsole.maximumBytes,
);
// Users without the console do not pay for it.
if ([...plainWorker.values()].some((text) => text.includes("letta-console"))) {
  process.stdout.write("The Worker without the console contains the cookie of its sessions.\n");
  failures++;
}

/** The files of the console, by name; those of the first view are the page, the files that it names, and their static imports. */
function readConsole() {
  const folder = join(repositoryRoot, "apps/console/dist");
  const names = readdirSync(folder).filter((name) => !/\.(?:br|gz)$/.test(name));
  const files = new Map(names.map((name) => [name, readFileSync(join(folder, name), "utf8")]));
  const first = new Set(["index.html"]);
  for (const name of first) {
    const text = files.get(name) ?? "";
    const pattern = name.endsWith(".html") ? /(?:href|src)="([^"]+)"/g : /(?:from|import)\s*["'`]\.\/([^"'`]+)["'`]/g;
    for (const [, imported = ""] of text.matchAll(pattern)) if (files.has(imported)) first.add(imported);
  }
  return { files, first: [...first] };
}

const { files, first } = readConsole();
/** @param {Iterable<string>} names @param {string} ending */
const sum = (names, ending) =>
  [...names]
    .filter((name) => name.endsWith(ending))
    .reduce((total, name) => total + gzipBytes(files.get(name) ?? ""), 0);
compare("console: scripts of the first view", sum(first, ".js"), budgets.console.script);
compare("console: style", sum(first, ".css"), budgets.console.style);
compare("console: first view", sum(first, ""), budgets.console.firstView);
compare("console: everything", sum(files.keys(), ""), budgets.console.everything);
process.exitCode = failures === 0 ? 0 : 1;
