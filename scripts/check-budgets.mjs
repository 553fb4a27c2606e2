/**
 * Bundles the entries that budgets.json names, minified for browsers, and fails when one is larger than its budget. What is
 * bundled is what `pnpm build` wrote and npm would install: a bundler sees other files there than in the sources.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { repositoryRoot } from "./lib/repository.mjs";

/**
 * @typedef {object} BundleBudget
 * @property {string} name
 * @property {string} code a module, as a user would write it
 * @property {string} from folder whose dependencies it sees
 * @property {number} maximumBytes minified, after gzip -9
 */

/** @type {{ bundles: BundleBudget[] }} */
const budgets = JSON.parse(readFileSync(join(repositoryRoot, "budgets.json"), "utf8"));

/** @type {import("esbuild").Plugin} Resolves packages of this repository as their published `exports` do. */
const asPublished = {
  name: "as-published",
  setup({ onResolve }) {
    onResolve({ filter: /^@letta-environments\// }, ({ path }) => {
      const [, name = "", ...below] = path.split("/");
      const folder = join(repositoryRoot, "packages", name);
      const { publishConfig } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
      const file = publishConfig.exports[[".", ...below].join("/")].default;
      return { path: join(folder, file), sideEffects: false };
    });
  },
};

/** @param {BundleBudget} budget @returns {Promise<number>} bytes after gzip */
async function measure({ code, from }) {
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
  return gzipSync(outputFiles[0]?.contents ?? new Uint8Array(), { level: 9 }).byteLength;
}

let failures = 0;
for (const budget of budgets.bundles) {
  const bytes = await measure(budget);
  const isOver = bytes > budget.maximumBytes;
  if (isOver) failures++;
  const figures = `${bytes} of ${budget.maximumBytes} B`.padStart(18);
  process.stdout.write(`${figures}  ${budget.name}${isOver ? "  OVER BUDGET" : ""}\n`);
}
process.exitCode = failures === 0 ? 0 : 1;
