/**
 * `pnpm release`: publishes the packages. `--dry-run` does everything but the upload and changes nothing; `--pack FOLDER` only builds
 * and packs. See CONTRIBUTING.md.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { ensureInstalled } from "../setup/installation.mjs";
import { ensureNode } from "../setup/supported-node.mjs";
import { findUnpinnedImages, mayNameImages } from "./images.mjs";
import { readText, repositoryFiles, repositoryRoot } from "../lib/repository.mjs";
import { runTasks } from "../lib/turbo.mjs";
import { readReleaseConfig, releaseConfigFile } from "./config.mjs";

const usage = `Usage: pnpm release [--dry-run | --pack FOLDER] [--out FOLDER] [--config FILE] [--registry URL] [--jsr]

  --dry-run      builds, packs and checks everything, previews versions and changelogs, and uploads nothing
  --pack FOLDER  builds, and writes the tarballs to FOLDER
  --out FOLDER   keeps the tarballs, their SHA-256 digests and the bills of materials of a release or dry run there
  --config FILE  the settings of a release (default ${releaseConfigFile})
  --registry URL a registry other than npm's
  --jsr          publishes the packages for JSR instead of npm
`;

/** Ends the process with one line. @param {string} line @param {number} [code] @returns {never} */
function fail(line, code = 1) {
  process.stderr.write(`release: ${line}\n`);
  process.exit(code);
}

/** @param {string} line */
const print = (line) => void process.stdout.write(`${line}\n`);

const options = readOptions();
if (options.help) {
  process.stdout.write(usage);
} else {
  await run().catch((cause) => fail(cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause)));
}

function readOptions() {
  try {
    return parseArgs({
      args: process.argv.slice(2).filter((word, index) => index > 0 || word !== "--"),
      options: {
        "dry-run": { type: "boolean", default: false },
        pack: { type: "string" },
        out: { type: "string" },
        config: { type: "string", default: join(repositoryRoot, releaseConfigFile) },
        registry: { type: "string" },
        jsr: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    const [reason] = String(error instanceof Error ? error.message : error).split(/\.? To specify|\n/);
    return fail(`${reason}; --help shows the options`, 2);
  }
}

async function run() {
  const isDryRun = options["dry-run"];
  const kept = options.pack ?? options.out;
  const folder = kept === undefined ? null : resolve(process.env["INIT_CWD"] ?? ".", kept);
  if (folder !== null && existsSync(folder) && !statSync(folder).isDirectory())
    fail(`${kept} is a file; pass a folder`, 2);
  const settings = readReleaseConfig(options.config);
  const isRelease = !isDryRun && options.pack === undefined;
  const needs = [...(settings.ok ? [] : [settings.problem]), ...missingDigests()];
  const [need] = needs;
  if (need !== undefined && isRelease) fail(need);
  await ensureInstalled("full", ensureNode);
  // The packages that these import are installed only now.
  const { findObstacle, readReleaseState } = await import("./publish.mjs");
  const obstacle = isRelease ? findObstacle(readReleaseState()) : null;
  if (obstacle !== null) fail(obstacle);
  await build();

  const release = settings.ok ? settings.config : null;
  const target = folder ?? mkdtempSync(join(tmpdir(), "release-"));
  try {
    const { packAll } = await import("./pack.mjs");
    const tarballs = await packAll(target, release);
    for (const { name, version, bytes, sha256 } of tarballs)
      print(`packed ${name}@${version}  ${bytes} B  sha256 ${sha256}`);
    if (options.pack === undefined) await inspectAndPublish(tarballs, target, { isDryRun, release });
    if (isDryRun) for (const each of needs) print(`\nNeeded before a release: ${each}`);
  } finally {
    if (folder === null) rmSync(target, { recursive: true, force: true });
  }
}

/** Container images whose digests a release needs, as one line. */
function missingDigests() {
  const files = repositoryFiles().filter(mayNameImages);
  const images = findUnpinnedImages(files.map((path) => ({ path, text: readText(path) })));
  return images.length === 0 ? [] : [`${images[0]} has no digest; run 'pnpm pin-images' where Docker is`];
}

/** Builds the packages, and shows what the build printed only if it fails. */
async function build() {
  /** @type {Uint8Array[]} */
  const output = [];
  if ((await runTasks(["build"], [], (chunk) => void output.push(chunk))) === 0) return;
  process.stderr.write(Buffer.concat(output));
  throw new Error("the build failed");
}

/**
 * @param {readonly import("./pack.mjs").Tarball[]} tarballs @param {string} target
 * @param {{ isDryRun: boolean, release: import("./config.mjs").ReleaseConfig | null }} context
 */
async function inspectAndPublish(tarballs, target, { isDryRun, release }) {
  await inspect(tarballs, release !== null);
  await writeBills(tarballs, target);
  if (isDryRun) await preview();
  const { publishToJsr } = await import("./jsr.mjs");
  if (isDryRun || options.jsr) {
    const folder = mkdtempSync(join(tmpdir(), "release-jsr-"));
    const code = await publishToJsr(tarballs, folder, { isDryRun }).finally(() =>
      rmSync(folder, { recursive: true, force: true }),
    );
    if (code !== 0) throw new Error("JSR refused the packages");
    print(isDryRun ? "JSR would accept the packages" : "published to JSR");
    if (options.jsr) return;
  }
  if (isDryRun) return;
  const { publishAll } = await import("./publish.mjs");
  if (!(await publishAll(tarballs, { registry: options.registry, provenance: true, report: print })))
    process.exitCode = 1;
}

/** @param {readonly import("./pack.mjs").Tarball[]} tarballs @param {boolean} needsRepository */
async function inspect(tarballs, needsRepository) {
  const { inspectTarball } = await import("./inspect.mjs");
  let problems = 0;
  const found = await Promise.all(tarballs.map((tarball) => inspectTarball(tarball, needsRepository)));
  for (const [index, { name }] of tarballs.entries()) {
    for (const problem of found[index] ?? []) {
      problems++;
      process.stderr.write(`release: ${name}: ${problem}\n`);
    }
  }
  if (problems > 0) throw new Error(`${problems} problems in the packages; nothing was published`);
  print(`inspected ${tarballs.length} packages: metadata, files, exports and types are correct`);
}

/** @param {readonly import("./pack.mjs").Tarball[]} tarballs @param {string} target */
async function writeBills(tarballs, target) {
  const { writeSbom } = await import("./sbom.mjs");
  mkdirSync(target, { recursive: true });
  for (const { name } of tarballs) {
    const { path, components } = await writeSbom(name, target);
    print(`bill of materials ${basename(path)}: ${components} components, valid CycloneDX 1.6`);
  }
  const digests = tarballs.map(({ path, sha256 }) => `${sha256}  ${basename(path)}\n`);
  writeFileSync(join(target, "SHA256SUMS"), digests.join(""));
}

async function preview() {
  const { planVersions } = await import("./plan.mjs");
  for (const { name, from, to, changes } of planVersions()) {
    print(from === to ? `\n${name} stays ${from}` : `\n${name} ${from} -> ${to}\n\n${changes}`);
  }
  print("");
}
