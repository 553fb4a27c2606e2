/** The guides in docs/deploy agree with what the tests run. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseCommandLine } from "@letta-environments/command-line";
import { expect, test } from "vitest";
import { program } from "../../src/commands/program.ts";
import { denoPermissions } from "./runtime-commands.ts";

const folder = resolve(import.meta.dirname, "../../../../docs/deploy");
const guides = globSync("*.md", { cwd: folder }).map(
  (name) => [name, readFileSync(join(folder, name), "utf8")] as const,
);
const guide = (name: string): string => guides.find(([other]) => other === name)?.[1] ?? "";

test("the guide for Deno lists the permissions with which the suite runs", () => {
  expect(guide("deno.md")).toContain(`deno run --no-prompt ${denoPermissions.join(" ")} deno.js`);
});

test.each([
  ["node.md", /^node node\.js (.+)$/gm],
  ["bun.md", /^bun bun\.js (.+)$/gm],
  ["deno.md", /^letta-proxy (.+)$/gm],
  ["docker.md", /^docker .*exec \w+ node node\.js (.+)$/gm],
  ["fetch.md", /^node node\.js (.+)$/gm],
])("every letta-proxy command in %s exists", (name, pattern) => {
  const commands = [...guide(name).matchAll(pattern)].map(([, words = ""]) => words);
  expect(commands.length).toBeGreaterThan(0);
  for (const words of commands)
    expect([words, parseCommandLine(program, words.split(" ")).kind]).toEqual([words, "run"]);
});

test.each(guides)("every file to which %s links exists", (name, text) => {
  const targets = [...text.matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)].map(([, target = ""]) => target);
  const missing = targets.filter((target) => !existsSync(resolve(dirname(join(folder, name)), target)));
  expect(missing).toEqual([]);
});
