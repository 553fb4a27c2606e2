import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "./repository-root.mjs";

/**
 * @typedef {object} WorkspacePackage
 * @property {string} folder relative to the repository: `packages/schema`
 * @property {Record<string, any>} manifest its package.json
 */

/** Every package and app of the workspace, ordered by folder. @returns {WorkspacePackage[]} */
export function workspacePackages() {
  return ["apps", "examples", "packages"].flatMap((group) => {
    const groupFolder = join(repositoryRoot, group);
    if (!existsSync(groupFolder)) return [];
    return readdirSync(groupFolder)
      .sort()
      .map((name) => `${group}/${name}`)
      .filter((folder) => existsSync(join(repositoryRoot, folder, "package.json")))
      .map((folder) => ({
        folder,
        manifest: JSON.parse(readFileSync(join(repositoryRoot, folder, "package.json"), "utf8")),
      }));
  });
}
