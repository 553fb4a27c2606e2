import process from "node:process";
import { beforeAll, expect, test } from "vitest";
import { findMarkdownProblems } from "./markdown.mjs";
import { repositoryRoot } from "./repository.mjs";

beforeAll(() => process.chdir(repositoryRoot));

/** The problems of one text, as if it were a file at the root. @param {string} text */
const problems = async (text) => [...(await findMarkdownProblems({ "sample.md": `${text}\n` })).values()].flat();

const long = "word ".repeat(33).trim();

test("links to existing files and headings pass", async () => {
  const text =
    "# Start here\n\n[file](docs/storage.md) [heading](#start-here) [rules](AGENTS.md#rules) [site](https://example.com)";
  expect(await problems(text)).toEqual([]);
});

test.each([
  ["a missing file", "[file](docs/nothing.md)", "should exist"],
  ["a missing heading of the same file", "# A\n\n[heading](#b)", "Link fragments should be valid"],
  ["a missing heading of another file", "[rules](AGENTS.md#nothing)", "valid fragment"],
  ["a missing image", "![picture](docs/nothing.png)", "should exist"],
  ["the start of a merge conflict", "a\n\n<<<<<<< HEAD\nb", "Merge conflicts are resolved"],
  ["the end of a merge conflict", "a\n\n>>>>>>> 5c1349e (subject)\nb", "Merge conflicts are resolved"],
  [
    "a numbered item that is drawn as text of the paragraph before it",
    "3. a\n\nwords\n4. b",
    "An empty line separates",
  ],
  ["one in an item of another list", "- words\n  2) b", "An empty line separates"],
  ["a line of 164 characters", long, "Expected: 160; Actual: 164"],
])("an error in Markdown is reported with its line: %s", async (_name, text, reason) => {
  const [found, ...others] = await problems(text);
  expect(others).toEqual([]);
  expect(found).toMatch(/^sample\.md:\d+: /);
  expect(found).toContain(reason);
});

test("a line that begins with a number passes after an item or an empty line, in code, and with 1 or a status", async () => {
  expect(
    await problems("words\n1. a\n2. b\n   more\n\nwords\n\n3. c\n\n```\nwords\n4. d\n```\n\nIt was\n503. Then"),
  ).toEqual([]);
});

test("tables, code blocks and lines with a URL may be longer than 160 characters", async () => {
  expect(
    await problems(`| a |\n| --- |\n| ${long} |\n\n\`\`\`\n${long}\n\`\`\`\n\n${long} https://example.com words`),
  ).toEqual([]);
});
