/** Names of runtimes in tables; of Node no version is told, since the suite runs on whichever the machine has. */
const names = new Map([
  ["node", () => "Node.js"],
  ["bun", (/** @type {string} */ version) => `Bun ${version}`],
  ["deno", (/** @type {string} */ version) => `Deno ${version}`],
  ["workerd", (/** @type {string} */ version) => `workerd ${version}`],
]);

/** @param {readonly string[]} cells */
const row = (cells) => `| ${cells.join(" | ")} |`;

/**
 * A row for each section of the suite, a column for each runtime: how many tests passed, `-` where the build does not have it.
 *
 * @param {readonly import("./runtime-results.mjs").RuntimeResult[]} results
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
 * The differences between runtimes with their reasons.
 *
 * @param {readonly { request: string, runtimes: readonly string[], answer: { status: readonly (number | string)[], isProblem: boolean }, reason: string }[]} differences
 */
export function renderDifferences(differences) {
  if (differences.length === 0) return "None is known.";
  return [
    row(["request", "runtimes", "answer there", "reason"]),
    row(["---", "---", "---", "---"]),
    ...differences.map(({ request, runtimes, answer, reason }) => {
      const form = answer.isProblem || answer.status.includes(200) ? "" : ", no problem body";
      return row([request, runtimes.join(", "), `${answer.status.join(" or ")}${form}`, reason].map(escapeCell));
    }),
  ].join("\n");
}

/** @param {string} text */
function escapeCell(text) {
  return text.replaceAll("|", "\\|");
}

/**
 * A text with what stands between two marks replaced; `null` when the marks are not there.
 *
 * @param {string} text @param {string} mark @param {string} table
 */
export function replaceBetween(text, mark, table) {
  const [begin, end] = [`<!-- ${mark}: written by \`pnpm runtime-matrix\` -->`, `<!-- end of ${mark} -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from === -1 || to < from) return null;
  return `${text.slice(0, from)}${begin}\n\n${table}\n\n${text.slice(to)}`;
}
