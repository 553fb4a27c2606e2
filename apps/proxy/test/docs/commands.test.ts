/** The reference of `letta-proxy` in docs/commands.md says what the help says. */
import { expect, test } from "vitest";
import { writeCommandReference } from "../../scripts/command-reference.ts";
import { type CommandName, program } from "../../src/commands/program.ts";
import { readDocument } from "./document.ts";

const page = readDocument("docs/commands.md");

test("the page about commands has every command, option and exit code as the program defines them ('pnpm generate' writes it)", () => {
  expect(page).toBe(writeCommandReference(page, program));
  for (const { name, options } of program.commands) {
    const section = sectionOf(name);
    expect(section).toBeDefined();
    const ofEvery = page.slice(page.indexOf("## Options of every command"), page.indexOf("## Commands"));
    const missing = options.filter((option) => !`${section}${ofEvery}`.includes(`\`--${option.name}`));
    expect(missing).toEqual([]);
  }
});

test("a page without a marker is refused, so that a generated part cannot go missing unnoticed", () => {
  expect(() => writeCommandReference(page.replace("<!-- end of commands -->", ""), program)).toThrow(
    "docs/commands.md lacks the mark <!-- commands",
  );
});

function sectionOf(name: CommandName): string | undefined {
  return page.split("\n### ").find((section) => section.startsWith(`\`letta-proxy ${name}`));
}
