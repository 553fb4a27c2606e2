/** Checks a tarball as the registry would get it: metadata, files and exports (publint), types (are the types wrong), exported names. */
import { execFile, execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { repositoryRoot } from "../lib/repository.mjs";
import { missingMetadata, neededFiles } from "./manifest.mjs";

/**
 * Returns the problems of a tarball, a line or more for each.
 *
 * @param {import("./pack.mjs").Tarball} tarball @param {boolean} needsRepository whether the address of the repository must be known
 * @returns {Promise<string[]>}
 */
export async function inspectTarball({ path, manifest }, needsRepository) {
  const bytes = new Uint8Array(readFileSync(path));
  const { messages, pkg } = await publint({ pack: { tarball: bytes.buffer }, strict: true });
  // Strict mode turns warnings into errors, but not suggestions.
  const broken = messages.filter(({ type }) => type === "error");
  return [
    ...missingMetadata(manifest, needsRepository),
    ...missingFiles(path, manifest),
    ...(await checkTypes(path)),
    ...checkNames(path, manifest["exports"]),
    ...broken.map((message) => formatMessage(message, pkg, { color: false }) ?? message.code),
  ];
}

/** @param {string} path @param {Record<string, any>} manifest */
function missingFiles(path, manifest) {
  const listed = new Set(execFileSync("tar", ["-tzf", path], { encoding: "utf8" }).split("\n"));
  return neededFiles(manifest)
    .filter((file) => !listed.has(`package/${file}`))
    .map((file) => `${file} is missing in the tarball`);
}

/**
 * Checks that types resolve for importers of ES modules and of CommonJS, with the resolution of Node.js and of bundlers.
 *
 * @param {string} tarball @returns {Promise<string[]>}
 */
async function checkTypes(tarball) {
  const attw = join(repositoryRoot, "node_modules", ".bin", "attw");
  const options = ["--profile", "node16", "--format", "ascii", "--no-emoji", "--no-color"];
  return promisify(execFile)(attw, [tarball, ...options]).then(
    () => [],
    (/** @type {{ stdout?: string, message: string }} */ { stdout, message }) => [`types: ${stdout || message}`],
  );
}

/**
 * Checks that the types declare every exported name. When two modules want the same file name, a build can pair code with the
 * declarations of the other module.
 *
 * @param {string} path @param {Record<string, any>} exported
 */
function checkNames(path, exported) {
  /** @param {string} file */
  const read = (file) =>
    execFileSync("tar", ["-xzOf", path, file.replace("./", "package/")], {
      encoding: "utf8",
      maxBuffer: 64 * 1024 * 1024,
    });
  return Object.entries(exported).flatMap(([subpath, target]) => {
    if (typeof target === "string") return [];
    const types = read(target.import.types);
    const names = [...read(target.import.default).matchAll(/^export \{([^}]*)\}/gm)]
      .flatMap(([, list = ""]) => list.split(","))
      .map((name) => name.replace(/^.* as /, "").trim());
    return names
      .filter((name) => !new RegExp(`(?<![\\w$])${name.replaceAll("$", "\\$")}(?![\\w$])`).test(types))
      .map((name) => `${subpath} exports ${name}, but its types do not declare it`);
  });
}
