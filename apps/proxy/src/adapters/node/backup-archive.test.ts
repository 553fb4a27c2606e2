import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { moveFiles } from "./backup-archive.ts";

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
