/** The programs with which consumers use the packages. */
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import process from "node:process";

/** The root folder of the repository. */
export const repository: string = resolve(import.meta.dirname, "../..");

/** Loads the tools that the tests of the client have too: runtimes, wrangler and a browser's driver. */
export const requireTool: NodeJS.Require = createRequire(join(repository, "packages/client/package.json"));
const requireOwn = createRequire(join(repository, "consumers/package.json"));

/** The folder of a tool that consumers/ or the client's tests have. */
function folderOf(name: string, from: NodeJS.Require): string {
  return dirname(from.resolve(`${name}/package.json`));
}

/** Versions of Node.js. The packages that need no SQLite support Node.js 20; the others start with 22.18. */
export const nodes = {
  "20": nodeOf("20"),
  "22": nodeOf("22"),
  "24": nodeOf("24"),
  current: process.execPath,
};

function nodeOf(major: string): string {
  return join(repository, `consumers/node_modules/node-${major}/bin/node`);
}

/** Whether the slowest consumers run too: `pnpm consumers --all`. */
export const runsAll: boolean = process.env["CONSUMERS_ALL"] === "1";

/** The compilers by version. */
export const compilers: Readonly<Record<string, string>> = Object.fromEntries(
  ["5.4", "5.9", "current"].map((version) => [
    version,
    join(repository, `consumers/node_modules/typescript-${version}/bin/tsc`),
  ]),
);

export const bun: string = join(folderOf("bun", requireTool), "bin/bun.exe");
export const deno: string = join(folderOf("deno", requireTool), "deno");
export const vite: string = join(folderOf("vite", requireOwn), "bin/vite.js");
export const chromium = "/usr/bin/chromium";
