/**
 * Checks the imports of one module: packages import only what structure-rules.mjs allows, only some folders touch the platform,
 * and sources never import tests. Reads of platform globals, such as `Date.now` and `process`, are lint rules in `.oxlintrc.json`;
 * only `new Date()`, for which the linter has no rule, is found here.
 */
import { isBareBuiltin, packageOf, resolveRelative } from "./parse-module.mjs";
import { isTestFile, isToolConfig } from "./repository.mjs";
import { appImports, packageImports, scope } from "./structure-rules.mjs";

/** Packages that work on one runtime only, or that handle connections. */
const platformPackages = new Set(["@hono/node-server", "ioredis", "iovalkey", "undici", "ws"]);
const platformRule = "only platform, adapters, runtimes and host may use the platform";

/**
 * Returns a line for each violation in a module: `path:line: what (why)`. Modules outside apps and packages have no rules.
 *
 * @param {import("./parse-module.mjs").Module} module @returns {string[]}
 */
export function findBoundaryViolations({ path, imports, clockReads }) {
  const place = placeOf(path);
  if (place === undefined) return [];
  const broken = imports.flatMap(({ specifier, line, isTypeOnly }) => {
    const reason = findImportProblem(place, specifier, isTypeOnly);
    return reason === undefined ? [] : [`${path}:${line}: import of ${specifier} (${reason})`];
  });
  if (place.isTest || place.isConfig || place.mayReadClock) return broken;
  return [...broken, ...clockReads.map((line) => `${path}:${line}: new Date() (${platformRule})`)];
}

/** @typedef {NonNullable<ReturnType<typeof placeOf>>} Place */

/** Where a module is, and what its folder may do. @param {string} path */
function placeOf(path) {
  const [folder, group, name = ""] = /^(apps|packages)\/([^/]+)/.exec(path) ?? [];
  if (folder === undefined) return undefined;
  const local = path.slice(folder.length + 1);
  const isEdge = /^src\/(?:adapters|runtimes|host)\//.test(local);
  const mayImportPlatform =
    ["packages/platform", "packages/testkit"].includes(folder) ||
    (isEdge && (group === "apps" || name === "cli")) ||
    path === "packages/cli/src/bin.ts";
  return {
    path,
    folder,
    name,
    local,
    isApp: group === "apps",
    isEdge,
    isTest: isTestFile(path),
    isConfig: isToolConfig(path),
    mayImportPlatform,
    // The adapters of a package may read the clock of any runtime, but may not import modules of one runtime.
    mayReadClock: mayImportPlatform || isEdge,
  };
}

/** @param {Place} place @param {string} specifier @param {boolean} isTypeOnly @returns {string | undefined} why it is not allowed */
function findImportProblem(place, specifier, isTypeOnly) {
  const relative = resolveRelative(place.path, specifier);
  if (relative !== undefined) return findRelativeProblem(place, relative);
  if (isBareBuiltin(specifier)) return "write built-in modules with node:";
  const name = packageOf(specifier);
  const target = name.startsWith(scope) ? name.slice(scope.length) : undefined;
  if (target === "proxy" || target === "console") return "nothing imports an app";
  if (place.isTest || place.isConfig) return undefined;
  if (target !== undefined) return findWorkspaceProblem(place, target, isTypeOnly);
  const isPlatform = /^(?:node|bun|deno|cloudflare):/.test(specifier) || platformPackages.has(name);
  return isPlatform && !place.mayImportPlatform ? platformRule : undefined;
}

/** @param {Place} place @param {string} target name of the workspace package @param {boolean} isTypeOnly */
function findWorkspaceProblem(place, target, isTypeOnly) {
  if (target === "testkit") return "testkit is for tests";
  if (target === place.name) return "a package may not import itself by name";
  const allowed = place.isApp ? appImports : packageImports.get(place.name);
  if (allowed === undefined) return `${place.folder} is not in packageImports of scripts/lib/structure-rules.mjs`;
  if (!allowed.includes(target)) return `${place.folder} may not import ${scope}${target}`;
  if (place.folder === "apps/proxy" && target === "environment-server" && !place.isEdge && !isTypeOnly)
    return "only adapters and runtimes of the proxy may compose the environment server";
  return undefined;
}

/** @param {Place} place @param {string} target path relative to the repository */
function findRelativeProblem(place, target) {
  if (!target.startsWith(`${place.folder}/`)) {
    return place.isConfig && isToolConfig(target) ? undefined : "the import leaves its package";
  }
  if (!/\.(?:[cm]?[jt]s|tsx|json)$/.test(target)) return "the import has no file extension";
  if (place.isTest) return undefined;
  if (isTestFile(target)) return "a source may not import a test";
  const local = target.slice(place.folder.length + 1);
  const isAdapter = local.startsWith("src/adapters/") && !place.local.startsWith("src/adapters/");
  if (place.folder === "packages/cli")
    return isAdapter && place.local !== "src/bin.ts" ? "only bin.ts may import adapters" : undefined;
  if (!place.isApp || place.local.startsWith("src/runtimes/")) return undefined;
  if (local.startsWith("src/runtimes/")) return "only runtimes may import runtimes";
  return isAdapter ? "only runtimes may import adapters" : undefined;
}
