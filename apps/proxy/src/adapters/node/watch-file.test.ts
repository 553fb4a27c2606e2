import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createVirtualClock } from "@letta-environments/testkit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { watchFile } from "./watch-file.ts";

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "watch-file-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

function watched(path: string) {
  const clock = createVirtualClock();
  let changes = 0;
  const stop = watchFile(path, clock, () => (changes += 1));
  return { clock, stop, changes: () => changes };
}

test("a change is told once, when it is no longer being written", async () => {
  const path = join(folder, "config.json");
  writeFileSync(path, "{}");
  const { clock, changes, stop } = watched(path);
  await clock.advance(3_000);
  expect(changes()).toBe(0);
  writeFileSync(path, '{"half');
  await clock.advance(1_000);
  writeFileSync(path, '{"half": "whole"}');
  await clock.advance(1_000);
  expect(changes()).toBe(0);
  await clock.advance(1_000);
  expect(changes()).toBe(1);
  await clock.advance(5_000);
  expect(changes()).toBe(1);
  stop();
});

test("a file put in the place of another one, and one that appears later, are changes", async () => {
  const path = join(folder, "config.json");
  const { clock, changes, stop } = watched(path);
  writeFileSync(path, "{}");
  await clock.advance(2_000);
  expect(changes()).toBe(1);
  writeFileSync(join(folder, "next.json"), "{}");
  renameSync(join(folder, "next.json"), path);
  await clock.advance(2_000);
  expect(changes()).toBe(2);
  rmSync(path);
  await clock.advance(2_000);
  expect(changes()).toBe(3);
  stop();
  writeFileSync(path, "{}");
  await clock.advance(5_000);
  expect(changes()).toBe(3);
});
