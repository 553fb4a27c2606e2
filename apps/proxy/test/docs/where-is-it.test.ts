/** The "Where is it?" tables of AGENTS.md, and of the same files of the gateway, the environment server and the console, lead to what they promise. */
import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { readDocument, repository, sectionOf, tableRows } from "./document.ts";

const paths = ["AGENTS.md", "apps/proxy/AGENTS.md", "packages/environment-server/AGENTS.md", "apps/console/AGENTS.md"];
const pages = paths.map((path) => ({ path, text: readDocument(path) }));
const sections = pages.map(({ path, text }) => ({ path, section: sectionOf(text, "Where is it?") }));
const topics = sections.flatMap(({ path, section }) =>
  section
    .split(/^### /m)
    .slice(1)
    .map((text) => ({ path, title: text.split("\n", 1)[0] ?? "", text })),
);
const rows = sections.flatMap(({ section }) => tableRows(section));
const folders: Readonly<Record<string, string>> = {
  proxy: "apps/proxy/src",
  server: "packages/environment-server/src",
  schema: "packages/schema/src",
  client: "packages/client/src",
  cli: "packages/cli/src",
  console: "apps/console/src",
  "http-cache": "packages/http-cache/src",
};

/** The texts in backticks of a table cell. */
function codesIn(cell: string): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code);
}

/** The path in the repository of a path in a table. */
function resolvePath(path: string): string {
  const [first = "", ...rest] = path.split("/");
  return join(repository, folders[first] ?? first, ...rest);
}

test.each(pages)(
  "$path explains the abbreviations of its paths, and is short enough for tools that truncate long files",
  ({ text }) => {
    const used = Object.entries(folders).filter(([name]) => text.includes(`\`${name}/`));
    expect(used.length).toBeGreaterThan(0);
    for (const [name, folder] of used) {
      expect(text).toMatch(new RegExp(`\`${name}\`(?: stands)?\\s+for \`${folder}\``));
    }
    expect(text.length).toBeLessThan(30_000);
  },
);

test.each(rows.filter(([, path = ""]) => path.startsWith("`")))(
  "'%s' names a file that contains its search terms",
  (...row) => {
    const [, path = "", symbols = ""] = row;
    const paths = codesIn(path);
    expect(paths.filter((file) => !existsSync(resolvePath(file)))).toEqual([]);
    const texts = paths.map(resolvePath).filter((file) => statSync(file).isFile());
    const text = texts.map((file) => readFileSync(file, "utf8")).join("\n");
    const missing = codesIn(symbols).filter((symbol) => !text.includes(symbol));
    expect(missing).toEqual([]);
    const isSource = texts.every((file) => file.endsWith(".ts"));
    const declared = codesIn(symbols).filter((symbol) => /^\w*[a-z]\w*$/.test(symbol) && isSource);
    const undeclared = declared.filter(
      (symbol) =>
        !new RegExp(`\\b(?:function|const|interface|type|class|import|let) (?:\\{[^}]*)?${symbol}\\b`).test(text),
    );
    expect(undeclared).toEqual([]);
  },
);

test("the contents in AGENTS.md link to every topic of every page, in order", () => {
  const [contents = ""] = (sections[0]?.section ?? "").split(/^### /m);
  const linked = [...contents.matchAll(/\[([^\]]+)\]\(([^)#]*)#/g)].map(([, title, path]) => `${path} ${title}`);
  const order = [...paths.slice(1), ...paths.slice(0, 1)];
  const expected = order.flatMap((path) =>
    topics.filter((topic) => topic.path === path).map(({ title }) => `${path === "AGENTS.md" ? "" : path} ${title}`),
  );
  expect(linked).toEqual(expected);
});

test("every topic has one table of at most 30 questions, and no question is asked twice", () => {
  const sizes = topics.map(({ text }) => tableRows(text).length);
  expect(sizes.filter((size) => size < 2 || size > 30)).toEqual([]);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(rows.length);
  const questions = rows.map(([question = ""]) => question);
  expect(questions.filter((question, index) => questions.indexOf(question) !== index)).toEqual([]);
});

test("the glossary has at most 25 terms", () => {
  expect(tableRows(sectionOf(readDocument("AGENTS.md"), "Glossary")).length).toBeLessThanOrEqual(25);
});

const files = globSync(["*.md", "{apps,bench,consumers,docs,examples,packages,scripts}/**/*.{ts,tsx,mjs,md}"], {
  cwd: repository,
  exclude: ["**/node_modules/**", "**/dist/**", "**/reports/**"],
});

/** Names in the vendor's code. */
const foreignSymbols = ["checkModeOverride", "getDefaultDecision"];
/** Every word of the sources. */
const words = new Set(
  files
    .filter((file) => !file.endsWith(".md"))
    .flatMap((file) => readFileSync(join(repository, file), "utf8").match(/\w+/g) ?? []),
);

test.each(["AGENTS.md", "CONTRIBUTING.md", "apps/proxy/README.md", "docs/architecture.md", "docs/runtimes.md"])(
  "every source file and symbol that %s names exists",
  (path) => {
    const abbreviated = new RegExp(`^(?:${Object.keys(folders).join("|")})/`);
    const codes = codesIn(readDocument(path).replaceAll(/^```.*?^```$/gms, ""));
    const named = codes.filter(
      // Words in capitals are placeholders, and a file that starts with "x." is an example.
      (code) =>
        /^[\w./-]+\.(?:ts|mjs|md)$/.test(code) && !/\b[A-Z]+\.|\/[A-Z]+\/|^x\./.test(code) && !abbreviated.test(code),
    );
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((code) => !files.some((file) => `/${file}`.endsWith(`/${code}`)))).toEqual([]);
    // A single word may be anything; words in camel case are symbols.
    const symbols = codes.filter((code) => /^\w*[a-z][A-Z]\w*$/.test(code) && !foreignSymbols.includes(code));
    expect(symbols.filter((symbol) => !words.has(symbol))).toEqual([]);
  },
);

test("the README of the gateway describes each folder and file of the source, in the order of their imports", async () => {
  const rules = pathToFileURL(join(repository, "scripts/lib/structure-rules.mjs")).href;
  const { folderOrder } = (await import(rules)) as { folderOrder: ReadonlyMap<string, readonly string[]> };
  const described = tableRows(sectionOf(readDocument("apps/proxy/README.md"), "The source")).map(([path = ""]) => path);
  const topFiles = globSync("*.ts", { cwd: resolvePath("proxy"), exclude: ["*.test.ts"] });
  // Entries such as "keys/key-record.ts" are a part of a folder with its own place.
  const ordered = (folderOrder.get("apps/proxy/src") ?? []).filter((entry) => !/\/.|\*/.test(entry));
  const unordered = topFiles.filter((file) => !ordered.includes(file));
  expect(described).toEqual([...ordered, ...unordered].map((entry) => `\`${entry}\``));
});
