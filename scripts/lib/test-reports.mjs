import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "./repository.mjs";
import { workspacePackages } from "./repository.mjs";

/** Folders whose tests are run: every package with a `test` script, and the root for the scripts' own. */
function testedFolders() {
  return [
    ".",
    ...workspacePackages()
      .filter(({ manifest }) => manifest.scripts?.test !== undefined)
      .map(({ folder }) => folder),
  ];
}

/** Removes the reports of earlier runs, which must not be counted again. */
export function clearReports() {
  for (const folder of testedFolders())
    rmSync(join(repositoryRoot, folder, "reports"), { recursive: true, force: true });
}

/** Reads one report a folder; undefined where none was written. @returns {{ folder: string, report: Record<string, any> | undefined }[]} */
export function readReports() {
  return testedFolders().map((folder) => {
    try {
      return {
        folder,
        report: JSON.parse(readFileSync(join(repositoryRoot, folder, "reports", "vitest.json"), "utf8")),
      };
    } catch {
      return { folder, report: undefined };
    }
  });
}
