import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { expect, test } from "vitest";

const entry = join(import.meta.dirname, "../src/run-device.ts");

test.each([
  [["--nonsense"], "device: Unknown option '--nonsense'; --help shows the options\n"],
  [["--name"], "device: Option '--name <value>' argument missing; --help shows the options\n"],
])("%j is one clear line and exit code 2, without a stack trace", (words, stderr) => {
  const run = spawnSync(process.execPath, [entry, ...words], { encoding: "utf8" });
  expect([run.status, run.stdout, run.stderr]).toEqual([2, "", stderr]);
});
