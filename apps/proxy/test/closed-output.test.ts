/** `letta-proxy` when the reader of its output goes away, as `head` does, or its output cannot be written. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { text } from "node:stream/consumers";
import { baseEnvironment } from "@letta-environments/testkit";
import { afterEach, beforeEach, expect, test } from "vitest";

const entry = resolve(import.meta.dirname, "../src/runtimes/node.ts");
let dataDir = "";

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "output-"));
  await run(["keys", "create", "--name", "n"], "/dev/null");
});
afterEach(() => rmSync(dataDir, { recursive: true }));

/** Runs a command whose standard output is a file, or a pipe whose reader goes away at once. */
async function run(
  words: readonly string[],
  path?: string,
): Promise<{ readonly code: unknown; readonly stderr: string }> {
  const file = path === undefined ? null : await open(path, "w");
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", entry, ...words], {
    env: { ...baseEnvironment, DATA_DIR: dataDir },
    stdio: ["ignore", file?.fd ?? "pipe", "pipe"],
  });
  child.stdout?.destroy();
  const ended = once(child, "close");
  const stderr = child.stderr === null ? "" : await text(child.stderr);
  const [code] = await ended;
  await file?.close();
  return { code, stderr };
}

test.each([[["--help"]], [["keys", "list"]], [["completion", "bash"]], [["config", "check"]]])(
  "%j ends quietly with 0 when nobody reads its output",
  async (words) => {
    expect(await run(words)).toEqual({ code: 0, stderr: "" });
  },
  30_000,
);

test("output that cannot be written is a failure in words", async () => {
  const stderr = "letta-proxy: standard output cannot be written (ENOSPC)\n";
  expect(await run(["keys", "list"], "/dev/full")).toEqual({ code: 1, stderr });
}, 30_000);
