/** The guides of docs/deploy: those for Node.js, Bun and Deno run as a reader pastes them, the others are checked as far as they can be here. */
import { spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join, resolve } from "node:path";
import { parseCommandLine } from "@letta-environments/command-line";
import { expect, onTestFinished, test, vi } from "vitest";
import { program } from "../../src/commands/program.ts";
import { denoPermissions } from "../runtimes/runtime-commands.ts";
import { blocksOf } from "./document.ts";
import { openSession } from "./session.ts";

vi.setConfig({ testTimeout: 60_000 });

const folder = resolve(import.meta.dirname, "../../../../docs/deploy");
const guides = globSync("*.md", { cwd: folder }).map(
  (name) => [name, readFileSync(join(folder, name), "utf8")] as const,
);
const guide = (name: string): string => guides.find(([other]) => other === name)?.[1] ?? "";

test("Deno's permissions are those that the suite runs with", () => {
  expect(guide("deno.md")).toContain(`deno run --no-prompt ${denoPermissions.join(" ")} deno.js`);
});

test.each([
  ["node.md", /(?:^|\$\()node node\.js ([^)\n]+)/gm],
  ["bun.md", /(?:^|\$\()bun bun\.js ([^)\n]+)/gm],
  ["deno.md", /(?:\$\(letta_proxy|^deno run .* deno\.js) ([^)"\n]+)$/gm],
  ["docker.md", /docker .*exec \w+ node node\.js ([^)\n]+)/gm],
  ["fetch.md", /(?:^|\$\()node node\.js ([^)\n]+)/gm],
  ["cloudflare.md", /(?:^|\$\()node dist\/node\.js ([^)\n]+)/gm],
])("every command line in %s is one that the program accepts", (name, pattern) => {
  const commands = [...guide(name).matchAll(pattern)].map(([, words = ""]) => words);
  expect(commands.length).toBeGreaterThan(0);
  for (const words of commands)
    expect([words, parseCommandLine(program, words.split(" ")).kind]).toEqual([words, "run"]);
});

test.each(["node.md", "bun.md", "deno.md"])(
  "the commands of %s lead from a build to a response without a key and one with it",
  async (name) => {
    const session = await openSession({ withGateway: false });
    onTestFinished(() => session.stop());
    const results: string[] = [];
    for (const block of blocksOf(guide(name)).filter(({ language }) => language === "sh")) {
      if (/ start\b/.test(block.code)) {
        await session.start(block.code, /"event":"listening"/);
        continue;
      }
      const { code, output } = await session.run(block);
      expect([code, output]).toEqual([0, output]);
      results.push(output);
    }
    expect(results.join("")).toMatch(/HTTP\/1\.1 401 [^]*"connections":\[\]/);
  },
);

test("the deployment of cloudflare.md is one that wrangler would upload", async () => {
  const session = await openSession({ withGateway: false });
  onTestFinished(() => session.stop());
  const [deployment] = blocksOf(guide("cloudflare.md")).filter(({ language }) => language === "sh");
  const { code, output } = await session.run(deployment ?? { language: "sh", code: "false", line: 0 });
  expect([code, output]).toEqual([0, expect.stringMatching(/env\.KEYS \(KeyObject\)[^]*--dry-run: exiting now/)]);
});

test.each(guides.flatMap(([name, text]) => blocksOf(text).map((block) => [name, block.line, block] as const)))(
  "the block in %s, line %i, is valid in its language",
  (_name, _line, { language, code }) => {
    if (language === "sh") expect(spawnSync("bash", ["-n", "-c", code], { encoding: "utf8" }).stderr).toBe("");
    if (language === "js") expect(() => stripTypeScriptTypes(code)).not.toThrow();
    if (language === "json") expect(() => JSON.parse(code)).not.toThrow();
    expect(["sh", "js", "json", "ini"]).toContain(language);
  },
);

test.each(guides)("every file that %s links to exists", (name, text) => {
  const targets = [...text.matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)].map(([, target = ""]) => target);
  const missing = targets.filter((target) => !existsSync(resolve(dirname(join(folder, name)), target)));
  expect(missing).toEqual([]);
});
