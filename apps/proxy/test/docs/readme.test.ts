/** Every command and sample of the README and of the guides for users, in order, against a gateway with a real device. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Block, blocksOf, readDocument, repository } from "./document.ts";
import { missingLines } from "./expected-output.ts";
import { commandsOf, openSession, type Session } from "./session.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let session: Session;
beforeAll(async () => {
  session = await openSession({ withGateway: true });
});
afterAll(() => session.stop());

/** Commands that run until they are stopped, with what they have printed when they are ready. */
const lasting: readonly (readonly [command: RegExp, ready: RegExp])[] = [
  [/ start\b/, /"listening"|Send a message to the device:\n.*\n/],
  [/scripts\/device\.mjs/, /Connected as .*\n/],
];

/** Runs a `console` or `sh` block and returns what it printed. Every command must succeed. */
async function runBlock(block: Block): Promise<string> {
  const text = block.language === "console" ? commandsOf(block.code) : block.code;
  const [, ready] = lasting.find(([command]) => command.test(text)) ?? [];
  if (ready !== undefined) return (await session.start(text, ready)).output();
  const result = await session.run(block);
  expect([result.code, result.output]).toEqual([0, result.output]);
  return result.output;
}

const documents = [
  "README.md",
  "docs/devices.md",
  "docs/sending.md",
  "docs/control.md",
  "docs/switching.md",
  "apps/proxy/README.md",
];

test("the picture of the README shows what the programs print", () => {
  const args = [join(repository, "scripts/terminal-picture.mjs")];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  expect([status, stderr]).toEqual([0, ""]);
});

describe.each(documents)("%s", (path) => {
  const blocks = blocksOf(readDocument(path));
  // The commands for the packed packages need an empty folder: consumers/test/first-send.test.ts follows them there.
  const shell = blocks.filter(
    ({ language, code }) => (language === "console" || language === "sh") && !code.includes("../letta-packages"),
  );
  const modules = blocks.filter(({ language }) => language === "ts");

  test.each(shell.map((block) => [block.line, block] as const))(
    "the commands in line %i work when they are pasted, and print what is shown",
    async (_line, block) => {
      const printed = await runBlock(block);
      if (block.language !== "console") return;
      const shown = block.code.split("\n").filter((line) => !line.startsWith("$ "));
      expect([missingLines(shown.join("\n"), printed), printed]).toEqual([[], printed]);
    },
  );

  test.each(modules.map((block) => [block.line, block] as const))(
    "the sample in line %i runs as it is, and prints what its comments say",
    async (_line, { code }) => {
      const { code: exitCode, output } = await session.runModule(code);
      expect([exitCode, output]).toEqual([0, output]);
      const said = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map(([, text = ""]) => text);
      // A device that still runs the message before queues the next one.
      expect(
        missingLines(said.join("\n").replace("started", "OUTCOME"), output.replace(/started|queued/, "OUTCOME")),
      ).toEqual([]);
    },
  );

  test("every block has a language whose blocks are tested, or is text for other programs", () => {
    const languages = blocks.map(({ language }) => language).filter((language) => language !== "text");
    expect(languages.filter((language) => !["console", "sh", "ts"].includes(language))).toEqual([]);
  });
});
