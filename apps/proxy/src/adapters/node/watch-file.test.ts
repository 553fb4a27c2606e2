import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
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

test("a path that cannot be looked at for now is a file that is gone, and stops no watch", async () => {
  const path = join(folder, "config.json");
  symlinkSync("config.json", path);
  const { clock, changes, stop } = watched(path);
  await clock.advance(2_000);
  rmSync(path);
  writeFileSync(path, "{}");
  await clock.advance(2_000);
  expect(changes()).toBe(1);
  rmSync(path);
  symlinkSync("config.json", path);
  await clock.advance(2_000);
  expect(changes()).toBe(2);
  stop();
});

test("a file that may be read again is a change, although its content is the same", async () => {
  const path = join(folder, "config.json");
  writeFileSync(path, "{}");
  chmodSync(path, 0o000);
  const { clock, changes, stop } = watched(path);
  chmodSync(path, 0o600);
  await clock.advance(2_000);
  expect(changes()).toBe(1);
  stop();
});

test("a folder that is swapped under a link, as Kubernetes does it, is a change", async () => {
  for (const name of ["first", "second"]) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, "config.json"), "{}");
  }
  symlinkSync("first", join(folder, "..data"));
  symlinkSync("..data/config.json", join(folder, "config.json"));
  const { clock, changes, stop } = watched(join(folder, "config.json"));
  symlinkSync("second", join(folder, "..next"));
  renameSync(join(folder, "..next"), join(folder, "..data"));
  await clock.advance(2_000);
  expect(changes()).toBe(1);
  stop();
});
