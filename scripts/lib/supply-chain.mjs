/**
 * The rules for third-party code: licences of the code that users get, hashes of what is installed, which packages may run a script at
 * installation, and how old a version must be. Pure functions over the texts of the files.
 */

/** Licences allowed in the code that users get: permissive, without conditions for the code around them. */
export const allowedLicences = new Set([
  "0BSD",
  "Apache-2.0",
  "BlueOak-1.0.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "ISC",
  "MIT",
]);

/** The minimum age of a version, in minutes. */
export const leastAgeMinutes = 4_320;

/**
 * Lists the packages whose licence is not allowed.
 *
 * @param {Readonly<Record<string, readonly { readonly name: string, readonly versions: readonly string[] }[]>>} byLicence as `pnpm licenses list --json`
 *   prints it
 */
export function findLicenceProblems(byLicence) {
  return Object.entries(byLicence)
    .filter(([licence]) => !isAllowed(licence))
    .flatMap(([licence, packages]) =>
      packages.map(
        ({ name, versions }) =>
          `${name} ${versions.join(", ")}: licence ${licence} is not one of ${[...allowedLicences].join(", ")}`,
      ),
    );
}

/** An expression with OR is allowed if one side is. @param {string} licence */
function isAllowed(licence) {
  return licence
    .replaceAll(/[()]/g, "")
    .split(" OR ")
    .some((side) => side.split(" AND ").every((each) => allowedLicences.has(each.trim())));
}

/**
 * Lists the entries of a lockfile that are not pinned by a SHA-512 hash, or that do not come from the registry.
 *
 * @param {string} lockfile the text of a pnpm-lock.yaml @param {string} path
 */
export function findUnpinned(lockfile, path) {
  return lockfile.split("\n").flatMap((line, index) => {
    const [, resolution] = /^ {4}resolution: \{(.*)\}$/.exec(line) ?? [];
    if (resolution === undefined) return [];
    const isPinned = /(?:^|, )integrity: sha512-[A-Za-z0-9+/]{86}==(?:,|$)/.test(resolution);
    const isForeign = /(?:^|, )(?:tarball|repo|commit|directory|type):/.test(resolution);
    return isPinned && !isForeign
      ? []
      : [`${path}:${index + 1}: every package must come from the registry and have a SHA-512 hash`];
  });
}

/**
 * Lists what is wrong with the settings of a workspace: each package that wants to run a script at installation needs a decision with its
 * reason in a comment above it, and the age of versions must be checked without exceptions.
 *
 * @param {string} settings the text of a pnpm-workspace.yaml @param {string} path
 */
export function findSettingProblems(settings, path) {
  const problems = [];
  const age = Number(/^minimumReleaseAge: (\d+)$/m.exec(settings)?.[1] ?? 0);
  if (age < leastAgeMinutes) problems.push(`${path}: minimumReleaseAge must be at least ${leastAgeMinutes} (minutes)`);
  if (/^minimumReleaseAgeExclude:/m.test(settings)) problems.push(`${path}: minimumReleaseAge must have no exceptions`);
  if (!/^blockExoticSubdeps: true$/m.test(settings)) problems.push(`${path}: blockExoticSubdeps must be true`);
  const lines = (/^allowBuilds:\n((?: .*\n)*)/m.exec(settings)?.[1] ?? "").split("\n").filter((line) => line !== "");
  for (const [index, line] of lines.entries()) {
    if (/^ +#/.test(line)) continue;
    if (!/^ +#/.test(lines[index - 1] ?? "")) {
      problems.push(`${path}: allowBuilds: ${line.trim().split(":")[0]} needs a comment above it that says why`);
    }
  }
  return problems;
}
