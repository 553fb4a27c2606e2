/** The licences of third-party code that a built file contains. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { pnpmCommand } from "../setup/run-pnpm.mjs";
import { repositoryRoot } from "../lib/repository.mjs";

/**
 * @typedef {object} Licensed
 * @property {string} name
 * @property {string[]} versions
 * @property {string[]} paths folders of the installed package
 * @property {string} license SPDX expression
 */

/**
 * Returns the licences of everything that a workspace package depends on, in order of the names.
 *
 * @param {string} name of a workspace package
 */
export async function thirdPartyLicences(name) {
  const { command, leading, env } = await pnpmCommand();
  const list = ["licenses", "list", "--prod", "--json", "--filter-prod", `${name}...`];
  const { stdout } = await promisify(execFile)(command, [...leading, ...list], {
    cwd: repositoryRoot,
    env,
    maxBuffer: 64 * 1024 * 1024,
  });
  /** @type {Record<string, Licensed[]>} */
  const byLicence = JSON.parse(stdout);
  return formatLicences(
    Object.entries(byLicence).flatMap(([license, packages]) =>
      packages.map(({ name, versions, paths }) => ({
        name,
        version: versions.join(", "),
        license,
        text: licenceText(paths[0] ?? ""),
      })),
    ),
  );
}

/** @param {readonly { name: string, version: string, license: string, text: string | null }[]} packages */
export function formatLicences(packages) {
  const sorted = packages.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const sections = sorted.map(({ name, version, license, text }) =>
    [`${name} ${version}`, `Licence: ${license}`, ...(text === null ? [] : ["", text.trim()])].join("\n"),
  );
  return `The built files contain code of these packages.\n\n${sections.join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
}

/** The text of a package's licence file; null if it has none. @param {string} folder */
function licenceText(folder) {
  if (!existsSync(folder)) return null;
  const name = readdirSync(folder).find((file) => /^licen[cs]e(?:\.(?:md|txt))?$/i.test(file));
  return name === undefined ? null : readFileSync(join(folder, name), "utf8").replaceAll("\r\n", "\n");
}
