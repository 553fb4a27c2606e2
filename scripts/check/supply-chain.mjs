/** Checks what the project takes from elsewhere; `lib/supply-chain.mjs` has the rules. Needs installed dependencies. */
import process from "node:process";
import { readText, workspacePackages } from "../lib/repository.mjs";
import { findLicenceProblems, findSettingProblems, findUnpinned } from "../lib/supply-chain.mjs";
import { runPnpm } from "../setup/run-pnpm.mjs";

/** Lists the licences of everything that the gateway and the published packages use when they run. */
async function readLicences() {
  // The published packages, and the gateway, which is also built from sources of the private packages.
  const published = workspacePackages().filter(
    ({ folder, manifest }) => folder === "apps/proxy" || manifest.publishConfig !== undefined,
  );
  /** @type {Uint8Array[]} */
  const chunks = [];
  const filters = published.flatMap(({ manifest }) => ["--filter", `${manifest.name}...`]);
  const code = await runPnpm(["licenses", "list", "--prod", "--json", ...filters], {
    write: (chunk) => void chunks.push(chunk),
  });
  const text = Buffer.concat(chunks).toString("utf8");
  if (code !== 0) throw new Error(`pnpm licenses ended with ${code}: ${text}`);
  return JSON.parse(text.slice(text.indexOf("{")));
}

/** The workspaces, each with its own lockfile. */
const workspaces = ["", "bench/", "consumers/"];

const licences = await readLicences();
const problems = [
  ...findLicenceProblems(licences),
  ...workspaces.map((folder) => `${folder}pnpm-lock.yaml`).flatMap((path) => findUnpinned(readText(path), path)),
  ...workspaces
    .map((folder) => `${folder}pnpm-workspace.yaml`)
    .flatMap((path) => findSettingProblems(readText(path), path)),
];
for (const problem of problems) process.stderr.write(`${problem}\n`);
for (const [licence, packages] of Object.entries(licences))
  process.stdout.write(`${packages.length} packages with ${licence}\n`);
process.stdout.write(`${problems.length} problems\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
