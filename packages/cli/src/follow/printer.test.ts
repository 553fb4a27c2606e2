import { expect, test } from "vitest";
import type { CommandContext } from "../context.ts";
import { createTurnPrinter } from "./printer.ts";

function createPrinter(columns: number | null) {
  let text = "";
  const output = {
    isTerminal: columns !== null,
    columns: () => columns,
    write: async (more: string) => (text += more),
  };
  // The members that a printer uses.
  const context = { host: { stdout: output, stderr: output }, isJson: false } as unknown as CommandContext;
  return { printer: createTurnPrinter(context, (plain) => plain), text: () => text };
}

test("the rest of a long detail or question is indented on a terminal, so that it does not look like another line", async () => {
  const { printer, text } = createPrinter(40);
  await printer.detail(`  "note": ${" ".repeat(30)}1 also grants, from now on: ls`);
  await printer.question(`Allow Bash: ls${" ".repeat(26)}Allow Bash: pwd? [y/n]`);
  expect(text().split("\n")).toEqual([
    `  "note":${" ".repeat(31)}`,
    "    1 also grants, from now on: ls",
    `Allow Bash: ls${" ".repeat(26)}`,
    "    Allow Bash: pwd? [y/n] ",
  ]);
});

test("a detail is one line outside a terminal", async () => {
  const { printer, text } = createPrinter(null);
  await printer.detail("a".repeat(500));
  expect(text()).toBe(`${"a".repeat(500)}\n`);
});
