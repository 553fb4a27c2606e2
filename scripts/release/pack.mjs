/**
 * Packs the published packages as they go to the registry: with the licence, the notice, the licences of bundled code, and a package.json
 * without members that only the repository needs. The same files give the same bytes, since pnpm is pinned and writes constant times and owners.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runPnpm } from "../setup/run-pnpm.mjs";
import { repositoryRoot, workspacePackages } from "../lib/repository.mjs";
import { thirdPartyLicences } from "./licences.mjs";
import { publishedManifest } from "./manifest.mjs";

/**
 * @typedef {object} Tarball
 * @property {string} name of the package
 * @property {string} version
 * @property {string} folder of the package in the repository
 * @property {string} path of the tarball
 * @property {string} sha256 of the tarball, in hexadecimal
 * @property {number} bytes
 * @property {Record<string, any>} manifest the published package.json
 */

/** Packages whose built files contain all of their dependencies. */
const selfContained = new Set(["@letta-environments/proxy"]);

/** The packages that are published, each after those that it depends on. */
export function publishedPackages() {
  const published = workspacePackages().filter(({ manifest }) => manifest.private !== true);
  const names = new Set(published.map(({ manifest }) => manifest.name));
  const sorted = /** @type {typeof published} */ ([]);
  while (sorted.length < published.length) {
    const done = new Set(sorted.map(({ manifest }) => manifest.name));
    const next = published.find(
      ({ manifest }) =>
        !done.has(manifest.name) &&
        Object.keys(manifest.dependencies ?? {}).every((name) => !names.has(name) || done.has(name)),
    );
    if (next === undefined) throw new Error("the published packages depend on each other in a cycle");
    sorted.push(next);
  }
  return sorted;
}

/**
 * Packs every published package. Needs `pnpm build` first.
 *
 * @param {string} target folder for the tarballs, which is created
 * @param {import("./config.mjs").ReleaseConfig | null} release
 * @returns {Promise<Tarball[]>}
 */
export async function packAll(target, release) {
  mkdirSync(target, { recursive: true });
  const tarballs = [];
  for (const { folder, manifest } of publishedPackages())
    tarballs.push(await packPackage(folder, manifest, target, release));
  return tarballs;
}

/**
 * @param {string} folder @param {Record<string, any>} manifest @param {string} target
 * @param {import("./config.mjs").ReleaseConfig | null} release @returns {Promise<Tarball>}
 */
async function packPackage(folder, manifest, target, release) {
  const source = join(repositoryRoot, folder);
  if (!existsSync(join(source, "dist"))) throw new Error(`${folder}/dist is missing: run pnpm build first`);
  const privateNames = new Set(
    workspacePackages().flatMap(({ manifest: { name, private: isPrivate } }) => (isPrivate === true ? [name] : [])),
  );
  const staging = mkdtempSync(join(tmpdir(), "release-"));
  try {
    execFileSync("tar", ["-xzf", await pnpmPack(source, join(staging, "packed")), "-C", staging]);
    const contents = join(staging, "package");
    const isSelfContained = selfContained.has(manifest.name);
    const published = publishedManifest(readManifest(contents), {
      folder,
      isBundled: (name) => isSelfContained || privateNames.has(name),
      release,
    });
    for (const name of ["LICENSE", "NOTICE"]) copyFileSync(join(repositoryRoot, name), join(contents, name));
    published["files"] = ["LICENSE", "NOTICE", ...published["files"]];
    // It exists from the first release on, and pnpm does not pack it on its own.
    const changelog = join(source, "CHANGELOG.md");
    if (existsSync(changelog)) {
      published["files"].push("CHANGELOG.md");
      copyFileSync(changelog, join(contents, "CHANGELOG.md"));
    }
    if (isSelfContained) {
      published["files"].push("THIRD_PARTY_LICENSES");
      writeFileSync(join(contents, "THIRD_PARTY_LICENSES"), await thirdPartyLicences(manifest.name));
    }
    writeFileSync(join(contents, "package.json"), `${JSON.stringify(published, null, 2)}\n`);
    const path = await pnpmPack(contents, target);
    const content = readFileSync(path);
    const sha256 = createHash("sha256").update(content).digest("hex");
    return {
      name: manifest.name,
      version: manifest.version,
      folder,
      path,
      sha256,
      bytes: content.byteLength,
      manifest: published,
    };
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

/** Packs a folder and returns the path of the tarball, which replaces an earlier one. @param {string} cwd @param {string} target */
async function pnpmPack(cwd, target) {
  mkdirSync(target, { recursive: true });
  const { name, version } = readManifest(cwd);
  const path = join(target, `${name.replace("@", "").replace("/", "-")}-${version}.tgz`);
  rmSync(path, { force: true });
  const options = ["--config.ignore-scripts=true", "--config.pack-gzip-level=9"];
  const code = await runPnpm(["pack", "--pack-destination", target, ...options], { cwd, quiet: true });
  if (code !== 0 || !existsSync(path)) throw new Error(`${cwd} cannot be packed into ${target}`);
  return path;
}

/** @param {string} folder @returns {Record<string, any>} */
function readManifest(folder) {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}
