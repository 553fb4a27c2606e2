import { builtinModules } from "node:module";
import { posix } from "node:path";
import { isTestFile, isToolConfig } from "./file-kind.mjs";
import { moduleFacts } from "./module-facts.mjs";

const scope = "@letta-environments/";

/** Which workspace packages the source of each package may import: the arrows of docs/architecture.md. */
const allowedImports = new Map([
  ["schema", []],
  ["http-cache", []],
  ["platform", []],
  ["command-line", []],
  ["client", ["schema"]],
  ["cli", ["client", "command-line", "schema"]],
  ["environment-server", ["schema", "platform"]],
  ["testkit", ["schema", "platform"]],
]);
/** What an app may import; it composes, so the list is the same for all of them. */
const allowedInApps = ["schema", "client", "command-line", "http-cache", "platform", "environment-server"];

/** Packages that only work on one runtime, or that belong at the edge. */
const edgePackages = new Set(["@hono/node-server", "ioredis", "iovalkey", "undici", "ws"]);
const builtins = new Set(builtinModules.filter((name) => !name.startsWith("_") && !name.includes(":")));

/**
 * @typedef {object} Place
 * @property {"apps" | "packages"} group
 * @property {string} name of the folder
 * @property {string} folder
 */

/** @param {string} path @returns {Place | undefined} */
function placeOf(path) {
  const match = /^(apps|packages)\/([^/]+)\//.exec(path);
  if (match === null) return undefined;
  const [, group, name] = match;
  return { group: group === "apps" ? "apps" : "packages", name: name ?? "", folder: `${group}/${name}` };
}

/** True in the folders that stand between a port and its runtime. @param {string} path @param {Place} place */
function isEdge(path, place) {
  return /^src\/(?:adapters|runtimes)\//.test(path.slice(place.folder.length + 1));
}

/** True where built-in modules and packages of one runtime may be imported. @param {string} path @param {Place} place */
function mayImportPlatform(path, place) {
  if (place.folder === "packages/platform" || place.folder === "packages/testkit") return true;
  if (place.folder === "packages/cli") return isEdge(path, place) || path === `${place.folder}/src/bin.ts`;
  return place.group === "apps" && isEdge(path, place);
}

/** @param {string} specifier @returns {string} the package a bare specifier names */
function packageOf(specifier) {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

/**
 * What is wrong with a source file's import of a workspace package.
 *
 * @param {string} path
 * @param {Place} place
 * @param {string} target name of the package
 * @param {boolean} isTypeOnly
 */
function judgeWorkspaceImport(path, place, target, isTypeOnly) {
  const allowed = place.group === "apps" ? allowedInApps : allowedImports.get(place.name);
  if (allowed === undefined) return `${place.folder} is not in the table of scripts/lib/boundaries.mjs`;
  if (!allowed.includes(target)) return `${place.folder} may not import ${scope}${target}`;
  if (place.folder === "apps/proxy" && target === "environment-server" && !isEdge(path, place) && !isTypeOnly) {
    return "only the proxy's adapters and runtimes compose the environment server";
  }
  return undefined;
}

/**
 * What is wrong with a file's import of another file.
 *
 * @param {string} path
 * @param {Place} place
 * @param {string} specifier starts with a dot
 */
function judgeRelativeImport(path, place, specifier) {
  const target = posix.join(posix.dirname(path), specifier);
  if (!target.startsWith(`${place.folder}/`)) {
    return isToolConfig(path) && isToolConfig(target) ? undefined : "reaches outside its package";
  }
  if (!/\.(?:[cm]?[jt]s|tsx|json)$/.test(specifier)) return "names no file extension";
  if (isTestFile(path)) return undefined;
  if (isTestFile(target)) return "source imports a test";
  const from = path.slice(place.folder.length + 1);
  const to = target.slice(place.folder.length + 1);
  if (place.folder === "packages/cli" && to.startsWith("src/adapters/") && !/^src\/(?:adapters\/|bin\.ts$)/.test(from))
    return "only bin.ts imports adapters";
  if (place.group !== "apps") return undefined;
  const fromRuntime = from.startsWith("src/runtimes/");
  if (to.startsWith("src/runtimes/") && !fromRuntime) return "only runtimes import runtimes";
  if (to.startsWith("src/adapters/") && !fromRuntime && !from.startsWith("src/adapters/"))
    return "only runtimes import adapters";
  return undefined;
}

/**
 * @param {string} path
 * @param {Place} place
 * @param {import("./module-facts.mjs").ImportOccurrence} occurrence
 * @returns {string | undefined} what is wrong with it
 */
function judgeImport(path, place, { text: specifier, isTypeOnly }) {
  if (specifier.startsWith(".")) return judgeRelativeImport(path, place, specifier);
  if (builtins.has(packageOf(specifier))) return "write built-in modules with node:";
  const target = specifier.startsWith(scope) ? packageOf(specifier).slice(scope.length) : undefined;
  if (target === "proxy" || (place.group === "packages" && specifier.startsWith(`${scope}console`)))
    return "nothing imports an app";
  if (isTestFile(path) || isToolConfig(path)) return undefined;
  if (target === "testkit") return "testkit is for tests";
  if (target !== undefined)
    return target === place.name ? "imports itself by name" : judgeWorkspaceImport(path, place, target, isTypeOnly);
  if (mayImportPlatform(path, place)) return undefined;
  if (/^(?:node|bun|deno|cloudflare):/.test(specifier) || edgePackages.has(packageOf(specifier))) {
    return "only platform, adapters and runtimes touch the platform";
  }
  return undefined;
}

/**
 * Every broken dependency rule in a set of modules.
 *
 * @param {readonly { path: string, source: string }[]} files paths relative to the repository
 * @returns {string[]} one line a violation: `path:line: what (why)`
 */
export function findBoundaryViolations(files) {
  return files.flatMap(({ path, source }) => {
    const place = placeOf(path);
    if (place === undefined) return [];
    const { imports, platformUses } = moduleFacts(source);
    const broken = imports.flatMap((occurrence) => {
      const reason = judgeImport(path, place, occurrence);
      return reason === undefined ? [] : [`${path}:${occurrence.line}: import of ${occurrence.text} (${reason})`];
    });
    // A package's adapters may read the clock of whatever runs them, but import nothing of one runtime.
    const mayRead = mayImportPlatform(path, place) || isEdge(path, place);
    if (isTestFile(path) || isToolConfig(path) || mayRead) return broken;
    const uses = platformUses.map(
      ({ text, line }) => `${path}:${line}: ${text} (only platform, adapters and runtimes touch the platform)`,
    );
    return [...broken, ...uses];
  });
}
