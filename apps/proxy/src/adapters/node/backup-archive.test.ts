import { spawn } from "node:child_process";
import { once } from "node:events";
import fs, { statSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, expect, onTestFinished, test } from "vitest";
import { shortenWrites } from "../../../test/support/short-writes.ts";
import { databaseNames, manifestFormat } from "../../backup/manifest.ts";
import { describeFile, extractArchive, moveFiles, withPrivateFolder, writeArchive } from "./backup-archive.ts";

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "backup-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

test("a backup and its restore are complete even if the system writes only a part of the data each time", async () => {
  const [source, target] = [await temporaryFolder(), await temporaryFolder()];
  const contents = databaseNames.map((name, index) => [name, Buffer.alloc(5_000 + index, index + 1)] as const);
  for (const [name, bytes] of contents) await writeFile(join(source, name), bytes);
  const files = await Promise.all(contents.map(([name]) => describeFile(source, name)));
  await shortenWrites((bytes) => Math.ceil(bytes / 2));
  const path = join(source, "b.tar");
  await writeArchive(path, source, { format: manifestFormat, version: "1", createdAt: 0, pepperId: null, files });
  expect(await extractArchive(path, target)).toMatchObject({ files });
  for (const [name, bytes] of contents) expect((await readFile(join(target, name))).equals(bytes)).toBe(true);
});

test("a restore removes all of its files again if one of them cannot be moved completely", async () => {
  const target = await temporaryFolder();
  const folder = join(target, ".restored");
  await mkdir(folder);
  for (const name of ["audit.sqlite", "pepper"]) await writeFile(join(folder, name), "restored");
  const { unlinkSync } = fs;
  fs.unlinkSync = (path) => {
    if (path === join(folder, "pepper")) throw Object.assign(new Error("EIO: i/o error, unlink"), { code: "EIO" });
    unlinkSync(path);
  };
  syncBuiltinESMExports();
  onTestFinished(() => {
    fs.unlinkSync = unlinkSync;
    syncBuiltinESMExports();
  });
  expect(() => moveFiles(folder, ["audit.sqlite", "pepper"], target)).toThrow("EIO");
  expect(await readdir(target)).toEqual([".restored"]);
});

/** Makes hard links impossible, as on FAT, until the test ends. */
function forbidLinks(): void {
  const { linkSync } = fs;
  fs.linkSync = () => {
    throw Object.assign(new Error("EPERM: operation not permitted, link"), { code: "EPERM" });
  };
  syncBuiltinESMExports();
  onTestFinished(() => {
    fs.linkSync = linkSync;
    syncBuiltinESMExports();
  });
}

describe.each([
  ["with hard links", () => undefined],
  ["without hard links", forbidLinks],
])("on a file system %s", (_name, prepare) => {
  test("a backup gets its final name only when it is complete, and does not overwrite a file that appeared in the meantime", async () => {
    prepare();
    const folder = await temporaryFolder();
    const manifest = { format: manifestFormat, version: "1", createdAt: 0, pepperId: null, files: [] } as const;
    await writeArchive(join(folder, "b.tar"), folder, manifest);
    expect(statSync(join(folder, "b.tar")).mode & 0o777).toBe(0o600);
    expect(await extractArchive(join(folder, "b.tar"), folder)).toEqual(manifest);
    await writeFile(join(folder, "taken"), "x");
    await expect(writeArchive(join(folder, "taken"), folder, manifest)).rejects.toThrow("taken exists already");
    expect(await readFile(join(folder, "taken"), "utf8")).toBe("x");
  });

  test("a restore does not overwrite a file that appeared in the meantime, and removes its own files again", async () => {
    prepare();
    const target = await temporaryFolder();
    const folder = join(target, ".restored");
    const fill = async (names: readonly string[]): Promise<void> => {
      await mkdir(folder);
      for (const name of names) await writeFile(join(folder, name), "restored");
    };
    await fill(["audit.sqlite", "pepper"]);
    await writeFile(join(target, "pepper"), "of a gateway that started meanwhile");
    expect(() => moveFiles(folder, ["audit.sqlite", "pepper"], target)).toThrow("EEXIST");
    expect(await readFile(join(target, "pepper"), "utf8")).toBe("of a gateway that started meanwhile");
    expect((await readdir(target)).toSorted()).toEqual([".restored", "pepper"]);

    await rm(join(target, "pepper"));
    await rm(folder, { recursive: true });
    await fill(["pepper"]);
    moveFiles(folder, ["pepper"], target);
    expect([await readFile(join(target, "pepper"), "utf8"), await readdir(folder)]).toEqual(["restored", []]);
  });
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const)("a backup or restore that %s ends leaves nothing behind", async (signal, code) => {
  const folder = await temporaryFolder();
  const script = join(import.meta.dirname, "../../../test/support/wait-in-private-folder.ts");
  const child = spawn(process.execPath, [script, folder], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  await once(child.stdout, "data");
  expect(await readdir(folder)).toHaveLength(1);
  child.kill(signal);
  expect(await exited).toEqual([code, null]);
  expect(await readdir(folder)).toEqual([]);
});

test("a signal after the work is done does not make the process exit as if it had been interrupted", async () => {
  const place = await temporaryFolder();
  const before = process.listenerCount("SIGHUP");
  let after: number | null = null;
  // No signal is sent: libraries of the test process may listen too, and end it.
  const noteListeners = (): void => void (after = process.listenerCount("SIGHUP"));
  await withPrivateFolder(place, "--data-dir", async () => void setImmediate(noteListeners));
  await new Promise((resolve) => setImmediate(resolve));
  expect([after, await readdir(place)]).toEqual([before, []]);
});
