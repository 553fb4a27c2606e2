import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { findProgram } from "./device.ts";

test("a device version is never started from a folder that contains another version", async () => {
  const folder = await mkdtemp(join(tmpdir(), "letta-program-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "package.json"), JSON.stringify({ version: "0.33.0" }));
  expect(findProgram(folder, "0.33.0")).toBe(join(folder, "letta.js"));
  expect(() => findProgram(folder, "0.32.18")).toThrow(
    / has Letta Code 0\.33\.0, not 0\.32\.18: 'programs' in .*device\.ts must/,
  );
});
