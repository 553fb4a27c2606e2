import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "./repository.mjs";

const folder = join(repositoryRoot, "apps", "proxy", "reports", "runtimes");
const order = ["node", "bun", "deno", "workerd"];

/**
 * What the application suite found on a runtime.
 *
 * @typedef {object} RuntimeResult
 * @property {string} runtime
 * @property {string} version
 * @property {Record<string, { passed: number, failed: number }>} sections
 * @property {number} differences
 */

/** The results that the last run of the tests has left, in the order of the table. @returns {RuntimeResult[]} */
export function readRuntimeResults() {
  return order
    .map((name) => join(folder, `${name}.json`))
    .filter((path) => existsSync(path))
    .map((path) => JSON.parse(readFileSync(path, "utf8")));
}
