/** Commands with a `--data-dir` in which no gateway has stored anything. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { runLettaProxy } from "@letta-environments/testkit";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { CommandResult } from "./support/use-command-line.ts";

// Every test starts several processes, on a machine that may be busy with others.
vi.setConfig({ testTimeout: 60_000 });

let folder = "";
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "letta-proxy-"))));
afterEach(() => rm(folder, { recursive: true, force: true }));

async function run(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CommandResult> {
  try {
    return { code: 0, ...(await runLettaProxy(words, env)) };
  } catch (error) {
    return error as CommandResult;
  }
}

const advice = "pass the gateway's directory (--data-dir or DATA_DIR), or make a new one with 'letta-proxy start'";

const commands: readonly string[] = [
  "keys list",
  "keys show ID",
  "keys update ID --name n",
  "keys disable ID",
  "keys enable ID",
  "keys revoke ID",
  "keys rotate ID",
  "devices list",
  "devices show ID",
  "devices release ID",
  "devices remove ID",
  "devices invite",
  "console link",
  "audit list",
  "audit verify",
  "audit prune --before 1d",
  "explain ID GET /v1/environments",
  "backup FILE",
];

describe("data directories without data", () => {
  test.each(commands)(
    "'%s' does not create a missing data directory: its error names the directory and the next step",
    async (text) => {
      const words = text.split(" ").map((word) => (word === "FILE" ? join(folder, "backup.tar") : word));
      const missing = join(folder, "mistyped");
      expect(await run([...words, "--data-dir", missing])).toMatchObject({
        code: 1,
        stdout: "",
        stderr: `letta-proxy: --data-dir ${missing}: this directory does not exist; ${advice}\n`,
      });
      expect(await readdir(folder)).toEqual([]);

      const other = join(folder, "other");
      await mkdir(other);
      await writeFile(join(other, "notes"), "");
      expect(await run([...words, "--data-dir", other])).toMatchObject({
        code: 1,
        stdout: "",
        stderr: `letta-proxy: --data-dir ${other}: this directory has no gateway data; ${advice}\n`,
      });
      expect(await readdir(other)).toEqual(["notes"]);
    },
  );

  test("the first 'keys create' creates the data directory, and says so once on standard error", async () => {
    const dataDir = join(folder, "new");
    const words = ["keys", "create", "--name", "n", "--data-dir", dataDir];
    const first = await run(words);
    expect([first.code, first.stdout]).toEqual([0, expect.stringMatching(/^lek_\w+\n$/)]);
    expect(first.stderr).toBe(
      `letta-proxy: made a new data directory, ${dataDir}: a gateway accepts the key only if this is its data directory\n`,
    );
    expect(await run(words)).toMatchObject({ code: 0, stderr: "" });
    expect((await run(["keys", "list", "--data-dir", dataDir])).code).toBe(0);
  });

  test("an error names the whole path of a data directory if it is the default one", async () => {
    const expected = `--data-dir ${join(process.cwd(), "none")}: this directory does not exist`;
    expect((await run(["keys", "list"], { DATA_DIR: "none" })).stderr).toContain(expected);
  });
});
