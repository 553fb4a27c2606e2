/** Packs every published package and checks the tarball with publint and are-the-types-wrong. Needs `pnpm build` first. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { runPnpm } from "../setup/run-pnpm.mjs";
import { repositoryRoot, workspacePackages } from "../lib/repository.mjs";

/**
 * Checks that types resolve for importers. The packages are ESM only.
 *
 * @param {string} tarball @returns {Promise<string[]>} problems
 */
async function checkTypes(tarball) {
  const attw = join(repositoryRoot, "node_modules", ".bin", "attw");
  const run = promisify(execFile)(attw, [
    tarball,
    "--profile",
    "esm-only",
    "--format",
    "ascii",
    "--no-emoji",
    "--no-color",
  ]);
  return run.then(
    () => [],
    (/** @type {{ stdout?: string, message: string }} */ { stdout, message }) => [`types: ${stdout || message}`],
  );
}

/**
 * Checks that the types declare every exported name. When two modules want the same file name, a build can pair code with the
 * declarations of the other module.
 *
 * @param {string} folder @param {Record<string, unknown>} published @returns {string[]} problems
 */
function checkNames(folder, published) {
  return Object.entries(published).flatMap(([subpath, target]) => {
    if (typeof target !== "object" || target === null || !("types" in target) || !("default" in target)) return [];
    const [types, code] = [target.types, target.default].map((file) =>
      readFileSync(join(repositoryRoot, folder, String(file)), "utf8"),
    );
    const names = [...(code ?? "").matchAll(/^export \{([^}]*)\}/gm)]
      .flatMap(([, list = ""]) => list.split(","))
      .map((name) => name.replace(/^.* as /, "").trim());
    return names
      .filter((name) => !new RegExp(`(?<![\\w$])${name.replaceAll("$", "\\$")}(?![\\w$])`).test(types ?? ""))
      .map((name) => `${subpath} exports ${name}, but its types do not declare it`);
  });
}

/** @param {string} folder @returns {Promise<string[]>} problems of the package */
async function checkPackage(folder) {
  const target = mkdtempSync(join(tmpdir(), "check-packages-"));
  try {
    const code = await runPnpm(["pack", "--pack-destination", target], {
      cwd: join(repositoryRoot, folder),
      quiet: true,
    });
    const tarball = readdirSync(target)[0];
    if (code !== 0 || tarball === undefined) return ["cannot be packed"];
    const bytes = readFileSync(join(target, tarball));
    const { messages, pkg } = await publint({ pack: { tarball: new Uint8Array(bytes).buffer }, strict: true });
    // Strict mode turns warnings into errors, but not suggestions.
    const broken = messages.filter(({ type }) => type === "error");
    const unreplaced = Object.entries(pkg.dependencies ?? {}).filter(([, range]) =>
      /^(?:workspace|catalog):/.test(range),
    );
    return [
      ...(await checkTypes(join(target, tarball))),
      ...checkNames(folder, pkg["exports"] ?? {}),
      ...broken.map((message) => formatMessage(message, pkg, { color: false }) ?? message.code),
      ...unreplaced.map(([name, range]) => `dependency ${name} would be published as ${range}`),
    ];
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}

let failures = 0;
for (const { folder, manifest } of workspacePackages().filter(({ manifest }) => manifest.private !== true)) {
  const problems = await checkPackage(folder);
  failures += problems.length;
  process.stdout.write(
    problems.length === 0 ? `${manifest.name}: ok\n` : `${manifest.name}:\n  ${problems.join("\n  ")}\n`,
  );
}
process.exitCode = failures === 0 ? 0 : 1;
