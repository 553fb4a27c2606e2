/** Each guarantee of docs/security.md is protected by a test that exists. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";
import { readDocument, repository, sectionOf, tableRows } from "./document.ts";

const page = join(repository, "docs/security.md");
const guarantees = tableRows(sectionOf(readDocument("docs/security.md"), "Guarantees"));

/** A link to a test: its title, and the path of its file in the repository. */
interface TestLink {
  readonly title: string;
  readonly file: string;
}

function testLinks(cell: string): readonly TestLink[] {
  return [...cell.matchAll(/\[((?:[^\]\\]|\\.)*)\]\(([^)#]+)\)/g)].map(([, title = "", target = ""]) => ({
    title,
    file: relative(repository, join(dirname(page), target)),
  }));
}

test("every guarantee names a test", () => {
  expect(guarantees.length).toBeGreaterThan(40);
  expect(guarantees.filter(([, tests = ""]) => testLinks(tests).length === 0)).toEqual([]);
});

test.each(guarantees.flatMap(([, tests = ""]) => testLinks(tests)))(
  "'$title' is a test of $file",
  ({ title, file }) => {
    expect(existsSync(join(repository, file)) ? file : `${file} does not exist`).toBe(file);
    const titles = readFileSync(join(repository, file), "utf8").matchAll(/(["`])((?:(?!\1)[^\\\n]|\\.)+)\1,/g);
    expect([...titles].map(([, , text = ""]) => text)).toContain(title);
  },
);
