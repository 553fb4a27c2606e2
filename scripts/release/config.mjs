/**
 * `release.config.json`: the values that depend on where the repository lives. The file is absent until the repository has a public
 * address. A dry run works without it; a release does not.
 */
import { existsSync, readFileSync } from "node:fs";

/**
 * @typedef {object} ReleaseConfig
 * @property {string} repository https address of the repository, without `.git`
 * @property {string} homepage https address of the project's page
 * @property {string} bugs https address where problems are reported
 */

/** @typedef {{ ok: true, config: ReleaseConfig } | { ok: false, problem: string }} ReleaseConfigResult */

export const releaseConfigFile = "release.config.json";
const members = ["repository", "homepage", "bugs"];

/**
 * Reads the settings of a release from the text of the file; `null` when there is none. `homepage` and `bugs` follow from
 * `repository` when they are absent.
 *
 * @param {string | null} text @param {string} [file] the name of the file in problems
 * @returns {ReleaseConfigResult} a problem is one line that names the setting and the rule
 */
export function parseReleaseConfig(text, file = releaseConfigFile) {
  /** @param {string} rule @returns {ReleaseConfigResult} */
  const problem = (rule) => ({ ok: false, problem: `${file}: ${rule}` });
  if (text === null) {
    return problem('this file is missing; create it with "repository", the https address of the repository');
  }
  const value = parseJson(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return problem("must be a JSON object");
  const unknown = Object.keys(value).find((name) => !members.includes(name));
  if (unknown !== undefined) return problem(`unknown setting; the settings are ${members.join(", ")}`);
  const given = /** @type {Record<string, unknown>} */ (value);
  if (given["repository"] === undefined) return problem("repository is required");
  const broken = members.find((name) => given[name] !== undefined && !isHttpsAddress(given[name]));
  if (broken !== undefined) return problem(`${broken} must be an https address`);
  const { repository: address, homepage, bugs } = /** @type {Record<string, string | undefined>} */ (value);
  const repository = (address ?? "").replace(/\/$/, "").replace(/\.git$/, "");
  return { ok: true, config: { repository, homepage: homepage ?? repository, bugs: bugs ?? `${repository}/issues` } };
}

/** Reads and parses the file. @param {string} file @returns {ReleaseConfigResult} */
export function readReleaseConfig(file) {
  return parseReleaseConfig(existsSync(file) ? readFileSync(file, "utf8") : null, file);
}

/** @param {string} text @returns {unknown} undefined for a text that is not JSON */
function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @param {unknown} value */
function isHttpsAddress(value) {
  if (typeof value !== "string" || !URL.canParse(value)) return false;
  const { protocol, username, password, search, hash } = new URL(value);
  return protocol === "https:" && `${username}${password}${search}${hash}` === "";
}
