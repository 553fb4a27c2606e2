/** The package.json of a published package, made from the one that pnpm packs. Pure. */

/** Order of the members, so that a reader finds them in the same place in every package. */
const order = [
  "name",
  "version",
  "description",
  "keywords",
  "homepage",
  "bugs",
  "license",
  "repository",
  "bin",
  "files",
  "type",
  "sideEffects",
  "exports",
  "dependencies",
  "peerDependencies",
  "peerDependenciesMeta",
  "engines",
  "publishConfig",
];

/**
 * Makes the manifest that is published from the one that `pnpm pack` writes, with ranges resolved and `publishConfig` applied. Scripts, development
 * dependencies and the conditions of the repository are left out. Bundled packages are part of the built files, so they are no dependencies.
 *
 * @param {Record<string, any>} packed
 * @param {object} options
 * @param {string} options.folder of the package in the repository
 * @param {(name: string) => boolean} options.isBundled
 * @param {import("./config.mjs").ReleaseConfig | null} options.release null while the repository has no address (no release.config.json)
 * @returns {Record<string, any>}
 */
export function publishedManifest(packed, { folder, isBundled, release }) {
  const dependencies = Object.entries(packed["dependencies"] ?? {}).filter(([name]) => !isBundled(name));
  /** @type {Record<string, any>} */
  const published = {
    ...packed,
    ...(release && {
      homepage: release.homepage,
      bugs: { url: release.bugs },
      repository: { type: "git", url: `git+${release.repository}.git`, directory: folder },
    }),
    dependencies: dependencies.length > 0 ? Object.fromEntries(dependencies) : undefined,
    publishConfig: { access: "public" },
  };
  return Object.fromEntries(order.flatMap((name) => (published[name] === undefined ? [] : [[name, published[name]]])));
}

/**
 * Lists what a published manifest lacks, a line for each.
 *
 * @param {Record<string, any>} manifest @param {boolean} needsRepository
 * @returns {string[]}
 */
export function missingMetadata(manifest, needsRepository) {
  const required = ["description", "license", "files", "exports", "engines"];
  const needed = needsRepository ? [...required, "repository", "homepage", "bugs"] : required;
  const ranges = Object.entries({ ...manifest["dependencies"], ...manifest["peerDependencies"] });
  return [
    ...needed.filter((name) => manifest[name] === undefined).map((name) => `${name} is missing`),
    ...(manifest["private"] === true ? ["private must not be set"] : []),
    ...(manifest["keywords"]?.length > 0 ? [] : ["keywords is missing"]),
    ...ranges
      .filter(([, range]) => range === undefined || /^(?:workspace|catalog|file|link):/.test(range))
      .map(([name, range]) => `the dependency ${name} would be published as ${range}`),
  ];
}

/**
 * Files that the tarball of a package must have. A package has a changelog from its first release on.
 *
 * @param {Record<string, any>} manifest the published one
 * @returns {string[]}
 */
export function neededFiles({ version, bin = {} }) {
  const changelog = version === "0.0.0" ? [] : ["CHANGELOG.md"];
  const programs = Object.values(bin).map((file) => file.replace(/^\.\//, ""));
  return ["LICENSE", "NOTICE", "README.md", ...changelog, ...programs];
}
