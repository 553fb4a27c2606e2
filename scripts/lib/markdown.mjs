/** Checks Markdown with markdownlint: line length, relative links, anchors, swallowed list items and leftover merge-conflict markers. Nothing else is linted. */
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
 * CommonMark lets a numbered item interrupt a paragraph only if its number is 1; others become part of its text. A number of more than two
 * digits is the end of a sentence.
 *
 * @type {import("markdownlint").Rule}
 */
const noSwallowedItems = {
  names: ["no-swallowed-items"],
  description: "An empty line separates a numbered item from a paragraph before it",
  tags: ["ol"],
  parser: "markdownit",
  function: ({ parsers }, onError) => {
    for (const { type, content, lineNumber } of parsers.markdownit.tokens) {
      if (type !== "inline") continue;
      for (const [index, line] of content.split("\n").entries()) {
        if (index > 0 && /^\s*\d{1,2}[.)] /.test(line)) onError({ lineNumber: lineNumber + index, context: line });
      }
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
      "no-swallowed-items": true,
    },
    customRules: [relativeLinks, noConflictMarkers, noSwallowedItems],
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
