/** The SQLite drivers of Bun and Deno, in the real runtimes. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { afterAll, describe, expect, test } from "vitest";

const { resolve } = createRequire(import.meta.url);
const folder = join(import.meta.dirname, "other-runtimes");
const scratch = mkdtempSync(join(tmpdir(), "platform-other-runtimes-"));
afterAll(() => rmSync(scratch, { recursive: true }));
/** As in the guide for Deno: with permission for only some folders, Deno does not let SQLite attach a second file. */
const scoped = [
  "run",
  "--no-prompt",
  "--allow-env",
  "--allow-sys",
  `--allow-read=${scratch}`,
  `--allow-write=${scratch}`,
];

/** Path of the runtime itself; `.bin` contains wrappers. */
function program(name: "bun" | "deno"): string {
  const root = dirname(resolve(`${name}/package.json`));
  const path = name === "bun" ? join(root, "bin", "bun.exe") : join(root, "deno");
  if (!existsSync(path)) throw new Error(`${path} is missing: 'pnpm install' puts it in place.`);
  return path;
}

function run(command: string, args: readonly string[]): { readonly status: number | null; readonly output: string } {
  const env = { PATH: process.env["PATH"] ?? "", TMPDIR: scratch, DENO_NO_UPDATE_CHECK: "1", DO_NOT_TRACK: "1" };
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", cwd: join(folder, "../.."), env });
  return { status, output: stdout + stderr };
}

test("bun:sqlite passes the contract suite for SQLite drivers", () => {
  const { status, output } = run(program("bun"), ["test", "./test/other-runtimes/bun-contract.ts"]);
  expect(output).toMatch(/ [1-9]\d* pass\n 0 fail/);
  expect(status).toBe(0);
});

describe.each([
  ["Node.js", process.execPath, []],
  ["Bun", program("bun"), []],
  ["Deno", program("deno"), ["run", "-A", "--no-lock", "--quiet"]],
  ["Deno with permission for one folder", program("deno"), [...scoped, "--no-lock", "--quiet"]],
] as const)("on %s", (_name, command, words) => {
  test("errors of SQLite are classified, and a file is backed up before a migration", () => {
    const { output } = run(command, [...words, join(folder, "sqlite-failures.ts")]);
    const [line = ""] = output.split("\n").filter((text) => text.startsWith("{"));
    expect(JSON.parse(line || "null")).toEqual({
      busy: [true, true, false],
      repeated: [true, false, false],
      full: [true, false, true],
      unwritable: [true, false, true],
      noDatabase: [true, false, false],
      ours: [false, false, false],
      row: { id: "a" },
      backups: ["m.sqlite.before-v2.backup"],
      backedUp: { id: "kept" },
      migrated: { id: "kept", colour: null },
    });
  });
});
