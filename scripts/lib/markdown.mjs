/** Checks Markdown with markdownlint: line length, relative links, anchors and leftover merge-conflict markers. Nothing else is linted. */
import { lint } from "markdownlint/promise";
import relativeLinks, { markdownIt } from "markdownlint-rule-relative-links";

const maximumLineLength = 160;

/** @type {import("markdownlint").Rule} */
const noConflictMarkers = {
  names: ["no-conflict-markers"],
  description: "Merge conflicts are resolved",
  tags: ["conflict"],
  parser: "none",
  function: ({ lines }, onError) => {
    for (const [index, line] of lines.entries()) {
      if (/^(?:<{7}|={7}|>{7}|\|{7})(?: |$)/.test(line)) onError({ lineNumber: index + 1, context: line });
    }
  },
};

/**
 * Returns a line for each problem by file: `path:line: what is wrong`. Tables, code blocks and lines with a URL may be longer.
 *
 * @param {Readonly<Record<string, string>>} texts by path; links are resolved relative to that path in the working directory
 * @returns {Promise<Map<string, string[]>>} only files with problems
 */
export async function findMarkdownProblems(texts) {
  const results = await lint({
    strings: texts,
    config: {
      default: false,
      "line-length": { line_length: maximumLineLength, code_blocks: false, tables: false },
      "link-fragments": true,
      "relative-links": true,
      "no-conflict-markers": true,
    },
    customRules: [relativeLinks, noConflictMarkers],
    markdownItFactory: () => markdownIt,
  });
  /** @type {Map<string, string[]>} */
  const problems = new Map();
  for (const [path, errors] of Object.entries(results)) {
    const lines = texts[path]?.split("\n") ?? [];
    const found = errors
      .filter(
        ({ ruleNames, lineNumber }) => !ruleNames.includes("line-length") || !lines[lineNumber - 1]?.includes("://"),
      )
      .map(({ lineNumber, ruleDescription, errorDetail, errorContext }) =>
        [`${path}:${lineNumber}: ${ruleDescription}`, errorDetail ?? errorContext].filter(Boolean).join(": "),
      );
    if (found.length > 0) problems.set(path, found);
  }
  return problems;
}
