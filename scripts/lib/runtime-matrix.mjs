/** The tables in docs/runtimes.md that show what the application suite found on each runtime. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "./repository.mjs";

const folder = join(repositoryRoot, "apps", "proxy", "reports", "runtimes");
const order = ["node", "bun", "deno", "workerd"];

/**
 * Results of the application suite on one runtime.
 *
 * @typedef {object} RuntimeResult
 * @property {string} runtime
 * @property {string} version
 * @property {Record<string, { passed: number, failed: number }>} sections
 * @property {number} differences
 */

/** Reads the results of the last test run, in the order of the table. @returns {RuntimeResult[]} */
export function readRuntimeResults() {
  return order
    .map((name) => join(folder, `${name}.json`))
    .filter((path) => existsSync(path))
    .map((path) => JSON.parse(readFileSync(path, "utf8")));
}

/** Names of runtimes in tables. Node.js has no version, because the suite runs on the Node of the machine. */
const names = new Map([
  ["node", () => "Node.js"],
  ["bun", (/** @type {string} */ version) => `Bun ${version}`],
  ["deno", (/** @type {string} */ version) => `Deno ${version}`],
  ["workerd", (/** @type {string} */ version) => `workerd ${version}`],
]);

/** @param {readonly string[]} cells */
const row = (cells) => `| ${cells.join(" | ")} |`;

/**
 * Renders how many tests passed, with a row per section of the suite and a column per runtime. `-` means that the build for that
 * runtime does not have the section.
 *
 * @param {readonly RuntimeResult[]} results
 */
export function renderMatrix(results) {
  const sections = [...new Set(results.flatMap((result) => Object.keys(result.sections)))];
  const heads = results.map(({ runtime, version }) => names.get(runtime)?.(version) ?? runtime);
  /** @param {string} section */
  const cells = (section) =>
    results.map(({ sections: { [section]: found } }) => {
      if (found === undefined) return "-";
      return found.failed > 0 ? `**${found.failed} failed**` : String(found.passed);
    });
  return [
    row(["tests passed", ...heads]),
    row(["---", ...results.map(() => "---:")]),
    ...sections.map((section) => row([section, ...cells(section)])),
    row(["listed differences", ...results.map(({ differences }) => String(differences))]),
  ].join("\n");
}

/**
 * Renders the known differences between runtimes with their reasons.
 *
 * @param {readonly { request: string, runtimes: readonly string[], answer: { status: readonly (number | string)[], isProblem: boolean, isFollowed?: boolean }, reason: string }[]} differences
 */
export function renderDifferences(differences) {
  if (differences.length === 0) return "No difference is known.";
  return [
    row(["request", "runtimes", "response there", "reason"]),
    row(["---", "---", "---", "---"]),
    ...differences.map(({ request, runtimes, answer, reason }) => {
      const form = answer.isProblem || answer.status.includes(200) ? "" : ", no problem body";
      const next = answer.isFollowed === true ? ", followed by another response" : "";
      return row([request, runtimes.join(", "), `${answer.status.join(" or ")}${form}${next}`, reason].map(escapeCell));
    }),
  ].join("\n");
}

/** @param {string} text */
function escapeCell(text) {
  return text.replaceAll("|", "\\|");
}

/**
 * Replaces the text between two marks. Returns `null` if the marks are missing.
 *
 * @param {string} text @param {string} mark @param {string} table
 */
export function replaceBetween(text, mark, table) {
  const [begin, end] = [`<!-- ${mark}: written by \`pnpm runtime-matrix\` -->`, `<!-- end of ${mark} -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from === -1 || to < from) return null;
  return `${text.slice(0, from)}${begin}\n\n${table}\n\n${text.slice(to)}`;
}
