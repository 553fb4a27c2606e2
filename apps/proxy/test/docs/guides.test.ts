/** The commands and the configuration files of the guides for operators, against a running gateway. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { baseEnvironment } from "@letta-environments/testkit";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { blocksOf, readDocument, repository } from "./document.ts";
import { openSession, type Session } from "./session.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

// The blocks of `administration` start a gateway with its own data, which the blocks behind them use. `explain` needs a key of the first one.
const guides = [
  ...["explain", "administration", "audit", "caching", "configuration", "rate-limits", "authorisation", "storage"],
].map((name) => [`docs/${name}.md`, blocksOf(readDocument(`docs/${name}.md`))] as const);
const blocksIn = (language: string) =>
  guides.flatMap(([path, blocks]) =>
    blocks.filter((block) => block.language === language).map((block) => [path, block.line, block] as const),
  );

test("every block of a guide has a language whose blocks are tested, or is text for other programs", () => {
  const languages = guides.flatMap(([, blocks]) => blocks.map(({ language }) => language));
  expect(languages.filter((language) => !["sh", "json", "text", "ini", "mermaid"].includes(language))).toEqual([]);
});

describe("commands in guides", () => {
  let session: Session;
  beforeAll(async () => {
    session = await openSession({ withGateway: true });
  });
  afterAll(() => session.stop());

  test.each(blocksIn("sh"))(
    "the commands in %s, line %i, succeed when they are pasted",
    async (_path, _line, block) => {
      // A gateway that goes on in the background.
      if (/ start\b/.test(block.code)) return void (await session.start(block.code, /"keys":\[/));
      const { code, output } = await session.run(block);
      expect([code, output]).toEqual([0, output]);
      // `curl` succeeds whatever the status is.
      expect(output).not.toContain("errorCode");
    },
  );
});

test.each(blocksIn("json"))(
  "the configuration in %s, line %i, is one that the gateway accepts",
  (_path, _line, block) => {
    const folder = mkdtempSync(join(tmpdir(), "letta-docs-config-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "proxy.config.json");
    // Files with credentials exist on the reader's machine, not on this one.
    writeFileSync(file, block.code.replaceAll("/run/secrets/acme", join(folder, "acme")));
    writeFileSync(join(folder, "acme"), "credential");
    const entry = join(repository, "apps/proxy/src/runtimes/node.ts");
    const args = ["--disable-warning=ExperimentalWarning", entry, "config", "check", "--config", file];
    const env = {
      ...baseEnvironment,
      DATA_DIR: join(folder, "data"),
      GLOBEX_LETTA_KEY: "other-credential",
      LETTA_API_KEY: "credential-of-the-default-tenant",
    };
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", env });
    expect([status, stderr]).toEqual([0, ""]);
  },
);
