import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { isPrivate } from "./compile-cache.ts";

/** A cache as the program and Node create it, and the id of its user. */
function createCache() {
  const parent = mkdtempSync(join(tmpdir(), "letta-env-cache-"));
  onTestFinished(() => rmSync(parent, { recursive: true }));
  const folder = join(parent, "letta-env");
  mkdirSync(join(folder, "v24-x64"), { recursive: true });
  chmodSync(folder, 0o700);
  return { parent, folder, userId: statSync(folder).uid };
}

test("a cache of this user is used, also below a folder with the sticky bit", () => {
  const { parent, folder, userId } = createCache();
  expect(isPrivate(parent, folder, userId)).toBe(true);
  chmodSync(parent, 0o1777);
  expect(isPrivate(parent, folder, userId)).toBe(true);
});

test("a cache of another user is not used", () => {
  const { parent, folder, userId } = createCache();
  expect(isPrivate(parent, folder, userId + 1)).toBe(false);
});

test.each([0o720, 0o702, 0o750, 0o705])("a cache that others can access is not used: mode %o", (mode) => {
  const { parent, folder, userId } = createCache();
  chmodSync(folder, mode);
  expect(isPrivate(parent, folder, userId)).toBe(false);
});

test.each([0o770, 0o707])("a cache that others can replace is not used: the mode of its parent is %o", (mode) => {
  const { parent, folder, userId } = createCache();
  chmodSync(parent, mode);
  expect(isPrivate(parent, folder, userId)).toBe(false);
});

test("a cache that is a link, or has something else than folders of the user, is not used", () => {
  const { parent, folder, userId } = createCache();
  const link = join(parent, "link");
  symlinkSync(folder, link);
  expect(isPrivate(parent, link, userId)).toBe(false);
  symlinkSync(tmpdir(), join(folder, "v25-x64"));
  expect(isPrivate(parent, folder, userId)).toBe(false);
  rmSync(join(folder, "v25-x64"));
  writeFileSync(join(folder, "file"), "");
  expect(isPrivate(parent, folder, userId)).toBe(false);
});
