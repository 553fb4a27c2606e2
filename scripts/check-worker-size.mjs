/** Holds the built Worker to its budgets: what every isolate loads, and all that is uploaded. `pnpm build` writes it. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { gzipSync } from "node:zlib";
import { repositoryRoot } from "./lib/repository.mjs";

const folder = join(repositoryRoot, "apps/proxy/dist/worker");
const entry = "cloudflare.js";
/** Largest sizes in bytes, after gzip -9 of each module. What is loaded with its first use (what verifies tokens) counts in the second alone. */
const budgets = { "loaded by every isolate": 46_500, "all modules": 50_000 };

/** @param {string} name */
const read = (name) => readFileSync(join(folder, name), "utf8");

/** A module with all that it imports at once. @param {string} name @param {Set<string>} found */
function closure(name, found) {
  if (found.has(name)) return found;
  found.add(name);
  for (const [, next] of read(name).matchAll(/(?:from|import)\s*["`]\.\/([^"`]+)["`]/g)) closure(next ?? "", found);
  return found;
}

/** @param {Iterable<string>} names */
const sizeOf = (names) => [...names].reduce((sum, name) => sum + gzipSync(read(name), { level: 9 }).byteLength, 0);

const modules = readdirSync(folder).filter((name) => name.endsWith(".js"));
const sizes = {
  "loaded by every isolate": sizeOf(closure(entry, new Set())),
  "all modules": sizeOf(modules),
};
/** The `gzip` of `wrangler deploy`: one stream over all modules, the entry last. */
const asDeployed = gzipSync([...modules.filter((name) => name !== entry), entry].map(read).join("")).byteLength;
let failures = 0;
for (const name of /** @type {const} */ (["loaded by every isolate", "all modules"])) {
  const isOver = sizes[name] > budgets[name];
  if (isOver) failures++;
  process.stdout.write(`${sizes[name]} of ${budgets[name]} B  Worker, ${name}${isOver ? "  OVER BUDGET" : ""}\n`);
}
process.stdout.write(`${(asDeployed / 1_024).toFixed(2)} KiB  Worker, as wrangler reports it\n`);
for (const name of modules.filter((name) => !closure(entry, new Set()).has(name)).sort())
  process.stdout.write(`${sizeOf([name])} B  with its first use: ${name}\n`);
if (modules.some((name) => /openapi/i.test(read(name)))) {
  process.stdout.write("The Worker has code of the API description in it.\n");
  failures++;
}
process.exitCode = failures === 0 ? 0 : 1;
