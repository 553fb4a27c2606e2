/** Stages the packages that consist of portable TypeScript for JSR, which publishes sources. A dry run needs no account. */
import { cpSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { isTestFile, readText, repositoryRoot } from "../lib/repository.mjs";
import { runCommand } from "../lib/run-process.mjs";

/** The others bundle private packages. */
const jsrPackages = ["packages/schema", "packages/client", "packages/http-cache"];

/**
 * The configuration of a package for JSR, from its published package.json and the exports in the repository.
 *
 * @param {Record<string, any>} published @param {Readonly<Record<string, unknown>>} sourceExports
 */
export function jsrConfig(published, sourceExports) {
  const modules = Object.entries(sourceExports).filter(([, file]) => typeof file === "string" && file.endsWith(".ts"));
  const ranges = Object.entries(
    /** @type {Record<string, string>} */ ({ ...published["dependencies"], ...published["peerDependencies"] }),
  );
  return {
    name: published["name"],
    version: published["version"],
    license: published["license"],
    exports: Object.fromEntries(modules),
    imports: Object.fromEntries(
      ranges.map(([name, range]) => [
        name,
        `${name.startsWith("@letta-environments/") ? "jsr" : "npm"}:${name}@${range}`,
      ]),
    ),
  };
}

/**
 * Writes a Deno workspace with the sources of each package, and publishes it or simulates that.
 *
 * @param {readonly import("./pack.mjs").Tarball[]} tarballs @param {string} folder which is created
 * @param {{ isDryRun: boolean }} options
 * @returns {Promise<number>} Deno's exit code
 */
export async function publishToJsr(tarballs, folder, { isDryRun }) {
  mkdirSync(folder, { recursive: true });
  for (const source of jsrPackages) {
    const tarball = tarballs.find((packed) => packed.folder === source);
    if (tarball === undefined) throw new Error(`${source} was not packed`);
    const target = join(folder, basename(source));
    mkdirSync(target);
    cpSync(join(repositoryRoot, source, "src"), join(target, "src"), {
      recursive: true,
      filter: (path) => !isTestFile(path),
    });
    for (const file of ["LICENSE", "NOTICE"]) copyFileSync(join(repositoryRoot, file), join(target, file));
    copyFileSync(join(repositoryRoot, source, "README.md"), join(target, "README.md"));
    const { exports } = JSON.parse(readText(`${source}/package.json`));
    writeFileSync(join(target, "deno.json"), JSON.stringify(jsrConfig(tarball.manifest, exports), null, 2));
  }
  writeFileSync(
    join(folder, "deno.json"),
    JSON.stringify({ workspace: jsrPackages.map((source) => `./${basename(source)}`) }),
  );
  const options = ["publish", "--allow-dirty", ...(isDryRun ? ["--dry-run"] : [])];
  // Deno reads the packages' dependencies from the registry, which may be behind a proxy whose certificate only the system knows.
  const env = { DENO_TLS_CA_STORE: "mozilla,system", ...process.env };
  return runCommand(denoProgram(), options, { cwd: folder, quiet: true, env });
}

/** The pinned Deno, which the tests of the client have. */
function denoProgram() {
  const require = createRequire(join(repositoryRoot, "packages/client/package.json"));
  return join(dirname(require.resolve("deno/package.json")), "deno");
}
