/** The software bill of materials of each published package (CycloneDX 1.6, JSON), made by pnpm and validated against the standard's schema. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Spec, Validation } from "@cyclonedx/cyclonedx-library";
import { runPnpm } from "../setup/run-pnpm.mjs";
import { repositoryRoot } from "../lib/repository.mjs";

/**
 * Writes the bill of one package and returns its path and the number of its components. Bundled packages are components too.
 *
 * @param {string} name of the package @param {string} target folder, which exists
 * @returns {Promise<{ path: string, components: number }>}
 * @throws Error for a bill that breaks the standard's schema
 */
export async function writeSbom(name, target) {
  const path = join(target, `${name.replace("@", "").replace("/", "-")}.cdx.json`);
  const options = [
    "--sbom-format",
    "cyclonedx",
    "--sbom-spec-version",
    "1.6",
    "--prod",
    "--filter",
    name,
    "--out",
    path,
  ];
  const code = await runPnpm(["sbom", ...options], { cwd: repositoryRoot, quiet: true });
  if (code !== 0) throw new Error(`the bill of materials of ${name} could not be written (pnpm ended with ${code})`);
  const text = readFileSync(path, "utf8");
  const problem = await findSbomProblem(text);
  if (problem !== null) throw new Error(`the bill of materials of ${name} is not CycloneDX 1.6: ${problem}`);
  return { path, components: JSON.parse(text).components?.length ?? 0 };
}

/** Returns the first rule of CycloneDX 1.6 that a bill breaks, or null. @param {string} text @returns {Promise<string | null>} */
export async function findSbomProblem(text) {
  const error = await new Validation.JsonStrictValidator(Spec.Version.v1dot6).validate(text);
  return error === null ? null : JSON.stringify(error).slice(0, 300);
}
