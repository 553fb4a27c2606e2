import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { withInstallLock } from "./install-lock.mjs";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "install-lock-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

test("two installs never run at the same time", async () => {
  /** @type {string[]} */
  const events = [];
  /** @param {string} name */
  const work = (name) =>
    withInstallLock(join(folder, "lock"), async () => {
      events.push(`${name} begins`);
      await new Promise((resolve) => setImmediate(resolve));
      events.push(`${name} ends`);
    });
  await Promise.all([work("first"), work("second")]);
  expect(events).toEqual(["first begins", "first ends", "second begins", "second ends"]);
});

test("the lock of a killed process is taken over", async () => {
  const lock = join(folder, "lock");
  mkdirSync(lock);
  writeFileSync(join(lock, "pid"), "2147483646");
  let ran = false;
  await withInstallLock(lock, async () => {
    ran = true;
  });
  expect(ran).toBe(true);
});

test("a failed install releases the lock", async () => {
  const lock = join(folder, "lock");
  await expect(withInstallLock(lock, () => Promise.reject(new Error("no disk")))).rejects.toThrow("no disk");
  let ran = false;
  await withInstallLock(lock, async () => {
    ran = true;
  });
  expect(ran).toBe(true);
});
