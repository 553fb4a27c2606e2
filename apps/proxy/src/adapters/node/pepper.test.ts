import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandError } from "@letta-environments/command-line";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadPepper } from "./pepper.ts";

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "pepper-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

test("a pepper of 32 bytes is created once in a file that only its owner can read, and read from then on", () => {
  const first = loadPepper(folder, null, false);
  expect(first.secret).toHaveLength(32);
  expect(statSync(join(folder, "pepper")).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(["pepper"]);
  expect(loadPepper(folder, null, true)).toEqual(first);
});

test("a missing pepper is not replaced by a new one while keys exist", () => {
  expect(() => loadPepper(folder, null, true)).toThrow(CommandError);
  expect(readdirSync(folder)).toEqual([]);
});

test("a pepper file that is damaged or unreadable is not overwritten", () => {
  const path = join(folder, "pepper");
  writeFileSync(path, "short");
  expect(() => loadPepper(folder, null, false)).toThrow("damaged");
  expect(readFileSync(path, "utf8")).toBe("short");
  rmSync(path);
  mkdirSync(path);
  expect(() => loadPepper(folder, null, false)).toThrow(`the pepper ${path} cannot be read: this is a directory`);
  rmSync(path, { recursive: true });
  chmodSync(folder, 0o700);
  expect(() => loadPepper(join(folder, "missing", "\0"), null, false)).toThrow(CommandError);
});

test("a pepper from KEY_PEPPER needs no file and creates none", () => {
  const given = loadPepper(folder, "from the environment", true);
  expect(new TextDecoder().decode(given.secret)).toBe("from the environment");
  expect(readdirSync(folder)).toEqual([]);
});

test("a pepper in KEY_PEPPER with fewer than 32 characters is refused, unless keys exist that need it", () => {
  expect(() => loadPepper(folder, "p".repeat(31), false)).toThrow("KEY_PEPPER must have at least 32 characters");
  expect(() => loadPepper(folder, "secret", false)).not.toThrow("secret");
  expect(loadPepper(folder, "p".repeat(32), false).id).toMatch(/^[0-9a-f]{12}$/);
  expect(loadPepper(folder, "p", true).id).toMatch(/^[0-9a-f]{12}$/);
});

test("the id of a pepper differs between peppers and does not contain the secret", () => {
  const [one, other] = [loadPepper(folder, "one pepper", true), loadPepper(folder, "other pepper", true)];
  expect(one.id).toMatch(/^[0-9a-f]{12}$/);
  expect(one.id).not.toBe(other.id);
  expect(loadPepper(folder, "one pepper", true).id).toBe(one.id);
});

test("a pepper file that others can read is restricted to its owner", () => {
  const path = join(folder, "pepper");
  loadPepper(folder, null, false);
  chmodSync(path, 0o644);
  loadPepper(folder, null, true);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});
