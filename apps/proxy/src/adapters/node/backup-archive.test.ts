import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { shortenWrites } from "../../../test/support/short-writes.ts";
import { databaseNames, manifestFormat } from "../../backup/manifest.ts";
import { describeFile, extractArchive, moveFiles, writeArchive } from "./backup-archive.ts";

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "backup-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

test("a backup and what is restored from it are complete also if the system takes only a part of each write", async () => {
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

test("a restore replaces no file that appeared meanwhile, and takes its own files back", async () => {
  const target = await mkdtemp(join(tmpdir(), "restore-"));
  try {
    const folder = join(target, ".restored");
    await mkdir(folder);
    for (const name of ["audit.sqlite", "pepper"]) await writeFile(join(folder, name), "restored");
    await writeFile(join(target, "pepper"), "of a gateway that started meanwhile");
    await expect(moveFiles(folder, ["audit.sqlite", "pepper"], target)).rejects.toThrow("EEXIST");
    expect(await readFile(join(target, "pepper"), "utf8")).toBe("of a gateway that started meanwhile");
    expect((await readdir(target)).toSorted()).toEqual([".restored", "pepper"]);

    await rm(join(target, "pepper"));
    await rm(folder, { recursive: true });
    await mkdir(folder);
    await writeFile(join(folder, "pepper"), "restored");
    await moveFiles(folder, ["pepper"], target);
    expect([await readFile(join(target, "pepper"), "utf8"), await readdir(folder)]).toEqual(["restored", []]);
  } finally {
    await rm(target, { recursive: true });
  }
});
