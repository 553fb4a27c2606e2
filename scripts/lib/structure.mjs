/**
 * Checks modules against the rules in structure-rules.mjs: folder order, folders that import each other, import cycles, sizes and retired names. Every rule
 * returns violations with a stable key, so that `structure-exceptions.json` can list the ones that are still allowed.
 */
import { posix } from "node:path";
import { packageOf, resolveRelative } from "./parse-module.mjs";
import { isSourceFile } from "./repository.mjs";
import { folderOrder, limits, restrictedImports, retiredNames, scope } from "./structure-rules.mjs";

/** @typedef {import("./parse-module.mjs").Module} Module */
/** @typedef {{ rule: string, key: string, detail: string }} Violation */

/** Finds every violation of the structure rules. @param {readonly Module[]} modules @returns {Violation[]} */
export function findStructureViolations(modules) {
  const sources = modules.filter(({ path }) => isSourceFile(path));
  return [
    ...findOrderViolations(sources),
    ...findRestrictedImports(sources),
    ...findCycles(importGraph(sources)).flatMap((cycle) =>
      cycle.map((path) => ({
        rule: "import cycles",
        key: path,
        detail: `is in an import cycle of ${cycle.length} files`,
      })),
    ),
    // `ports.ts` beside the key record is a file; only two folders must not import each other.
    ...findFolderPairs(sources)
      .filter((pair) => !pair.includes(".ts"))
      .map((key) => ({ rule: "folder pairs", key, detail: "these folders import each other" })),
    ...findSizeViolations(modules),
    ...modules.flatMap(findRetiredNames),
    ...modules.flatMap(findVagueDocstrings),
  ];
}

/** The imports of each module that name another of the modules. @param {readonly Module[]} modules @returns {Map<string, Set<string>>} */
export function importGraph(modules) {
  const paths = new Set(modules.map(({ path }) => path));
  return new Map(
    modules.map(({ path, imports }) => {
      const targets = imports.map(({ specifier }) => resolveRelative(path, specifier) ?? "");
      return [path, new Set(targets.filter((target) => paths.has(target)))];
    }),
  );
}

/**
 * Finds import cycles: the strongly connected components of more than one file (Tarjan's algorithm), and files that import themselves.
 *
 * @param {ReadonlyMap<string, ReadonlySet<string>>} graph @returns {string[][]}
 */
export function findCycles(graph) {
  /** @type {Map<string, { index: number, low: number, isOpen: boolean }>} */
  const visited = new Map();
  /** @type {string[]} */
  const stack = [];
  /** @type {string[][]} */
  const cycles = [];
  /** @param {string} path */
  const visit = (path) => {
    const state = { index: visited.size, low: visited.size, isOpen: true };
    visited.set(path, state);
    stack.push(path);
    for (const target of graph.get(path) ?? []) {
      const known = visited.get(target);
      if (known === undefined) state.low = Math.min(state.low, visit(target).low);
      else if (known.isOpen) state.low = Math.min(state.low, known.index);
    }
    if (state.low === state.index) {
      const component = stack.splice(stack.indexOf(path));
      for (const member of component) Object.assign(visited.get(member) ?? {}, { isOpen: false });
      if (component.length > 1 || graph.get(path)?.has(path)) cycles.push(component.sort());
    }
    return state;
  };
  for (const path of graph.keys()) if (!visited.has(path)) visit(path);
  return cycles;
}

/**
 * Finds folders of `src` that import each other. A folder counts with its subfolders, and a file directly in `src` as a folder;
 * a pair of two such files is an import cycle, not a folder pair.
 *
 * @param {readonly Module[]} modules @returns {string[]} `left <-> right`
 */
export function findFolderPairs(modules) {
  /** @param {string} path */
  const folderOf = (path) => /^.*?\/src\/[^/]+/.exec(path)?.[0] ?? path;
  const edges = new Set(
    [...importGraph(modules)].flatMap(([path, targets]) =>
      [...targets].map((target) => `${folderOf(path)} <-> ${folderOf(target)}`),
    ),
  );
  return [...edges].filter((edge) => {
    const [from = "", to = ""] = edge.split(" <-> ");
    return from < to && !(from.endsWith(".ts") && to.endsWith(".ts")) && edges.has(`${to} <-> ${from}`);
  });
}

/**
 * Summarises file lengths; percentiles are nearest-rank.
 *
 * @param {readonly number[]} lines of each file
 */
export function summariseLines(lines) {
  const sorted = lines.toSorted((left, right) => left - right);
  /** @param {number} fraction */
  const percentile = (fraction) => sorted[Math.max(0, Math.ceil(fraction * sorted.length) - 1)] ?? 0;
  return {
    files: sorted.length,
    lines: sorted.reduce((sum, count) => sum + count, 0),
    median: percentile(0.5),
    p90: percentile(0.9),
    max: sorted.at(-1) ?? 0,
    small: sorted.filter((count) => count <= limits.smallFileLines).length,
  };
}

/** @param {string} path @returns {{ base: string, order: readonly string[] } | undefined} */
function orderOf(path) {
  for (const [base, order] of folderOrder) if (path.startsWith(`${base}/`)) return { base, order };
  return undefined;
}

/** The most specific entry of an order that covers a path below its base folder. @param {readonly string[]} order @param {string} local */
function entryOf(order, local) {
  const covering = order.filter((entry) => (entry.endsWith("/") ? local.startsWith(entry) : local === entry));
  const mostSpecific = covering.sort((left, right) => right.length - left.length)[0];
  return mostSpecific ?? (local.includes("/") || !order.includes("*.ts") ? undefined : "*.ts");
}

/** The local imports of a module with the entries of the order at both ends. @param {Module} module */
function orderedImports({ path, imports }) {
  const found = orderOf(path);
  if (found === undefined) return [];
  const { base, order } = found;
  const from = entryOf(order, path.slice(base.length + 1));
  return imports.flatMap(({ specifier, line }) => {
    const target = resolveRelative(path, specifier) ?? "";
    if (!target.startsWith(`${base}/`)) return [];
    const to = entryOf(order, target.slice(base.length + 1));
    return [{ base, order, from, to, target, line }];
  });
}

/** @param {readonly Module[]} sources @returns {Violation[]} */
function findOrderViolations(sources) {
  const unlisted = sources.flatMap(({ path }) => {
    const { base, order } = orderOf(path) ?? {};
    const folder = base === undefined ? undefined : /^[^/]+\//.exec(path.slice(base.length + 1))?.[0];
    return folder === undefined || order?.includes(folder) ? [] : [`${base}/${folder}`];
  });
  const unordered = sources.flatMap(({ path }) => {
    const match = /^(?:apps|packages)\/[^/]+\/src(?=\/[^/]+\/)/.exec(path);
    return match !== null && !folderOrder.has(match[0]) ? [match[0]] : [];
  });
  return [
    ...[...new Set([...unlisted, ...unordered])].map((key) => ({
      rule: "folder order",
      key,
      detail: "has no place in folderOrder of scripts/lib/structure-rules.mjs",
    })),
    ...sources.flatMap((module) =>
      orderedImports(module)
        .filter(({ order, from, to }) => from && to && order.indexOf(to) < order.indexOf(from))
        .map(({ base, from, to, target, line }) => ({
          rule: "folder order",
          key: `${base}: ${from} imports ${to}`,
          detail: `${module.path}:${line} imports ${target}, which is above it in the order`,
        })),
    ),
  ];
}

/** @param {readonly Module[]} sources @returns {Violation[]} */
function findRestrictedImports(sources) {
  return restrictedImports.flatMap(({ path: restricted, entries, packages }) =>
    sources
      .filter(({ path }) => path.startsWith(restricted))
      .flatMap((module) => [
        ...orderedImports(module)
          .filter(({ to }) => to === undefined || !entries.includes(to))
          .map(({ to, target }) => ({
            key: `${restricted} imports ${to}`,
            detail: `${module.path} imports ${target}`,
          })),
        ...module.imports
          .filter(({ specifier }) => specifier.startsWith(scope))
          .filter(({ specifier, isTypeOnly }) => {
            const name = packageOf(specifier).slice(scope.length);
            return !isTypeOnly || !packages.includes(name);
          })
          .map(({ specifier }) => ({
            key: `${restricted} imports ${specifier}`,
            detail: `${module.path} imports ${specifier}`,
          })),
      ])
      .map(({ key, detail }) => ({ rule: "restricted imports", key, detail })),
  );
}

/** @param {readonly Module[]} modules @returns {Violation[]} */
function findSizeViolations(modules) {
  const sources = modules.filter(({ path }) => isSourceFile(path));
  const longFiles = modules
    .filter(({ path, lines }) => lines > limits.linesPerFile && !path.endsWith(".gen.ts"))
    .map(({ path, lines }) => ({
      rule: "lines per file",
      key: path,
      detail: `has ${lines} lines; at most ${limits.linesPerFile} are allowed`,
    }));
  const longFunctions = sources.flatMap(({ path, functions }) =>
    functions
      .filter(({ lines }) => lines > limits.linesPerFunction)
      .map(({ name, lines }) => ({
        rule: "lines per function",
        key: `${path}: ${name}`,
        detail: `has ${lines} lines; at most ${limits.linesPerFunction} are allowed`,
      })),
  );
  const folders = Map.groupBy(sources, ({ path }) => posix.dirname(path));
  const largeFolders = [...folders]
    .filter(([, files]) => files.length > limits.filesPerFolder)
    .map(([key, { length }]) => ({
      rule: "files per folder",
      key,
      detail: `has ${length} source files; over ${limits.filesPerFolder}, use subfolders`,
    }));
  const smallFiles = [...limits.smallFiles].flatMap(([base, maximum]) => {
    const small = sources.filter(({ path, lines }) => path.startsWith(`${base}/`) && lines <= limits.smallFileLines);
    const detail = `is one of ${small.length} files of at most ${limits.smallFileLines} lines; ${base} may have ${maximum}`;
    return small.length > maximum ? small.map(({ path }) => ({ rule: "small files", key: path, detail })) : [];
  });
  return [...longFiles, ...longFunctions, ...largeFolders, ...smallFiles];
}

/** @param {Module} module @returns {Violation[]} */
function findRetiredNames({ path, identifiers }) {
  const fileName = posix.basename(path).replace(/\..*$/, "");
  const names = new Set([...identifiers, fileName.replace(/-([a-z])/g, (_, letter) => letter.toUpperCase())]);
  return [...names]
    .filter((name) => retiredNames.some((pattern) => pattern.test(name)))
    .map((name) => ({
      rule: "retired names",
      key: `${path}: ${name}`,
      detail: "this name was replaced; use the new one",
    }));
}

/** A docstring that begins with a question word describes a thing by what surrounds it. @param {Module} module @returns {Violation[]} */
function findVagueDocstrings({ path, docstrings }) {
  return docstrings
    .filter((text) => /^(?:What|Who)\b/.test(text))
    .map((text) => ({
      rule: "docstrings",
      key: `${path}: ${text.split(" ", 5).join(" ")}`,
      detail: "name the thing or the action; do not begin with What or Who",
    }));
}

/**
 * Compares violations with the allowed exceptions. An exception that no longer occurs is an error too, so the list never keeps fixed ones.
 *
 * @param {readonly Violation[]} violations
 * @param {Readonly<Record<string, readonly string[]>>} exceptions keys by rule
 * @returns {string[]} one line per problem
 */
export function compareWithExceptions(violations, exceptions) {
  const found = new Set(violations.map(({ rule, key }) => `${rule}: ${key}`));
  const unexpected = violations.filter(({ rule, key }) => !exceptions[rule]?.includes(key));
  const stale = Object.entries(exceptions).flatMap(([rule, keys]) =>
    keys.map((key) => `${rule}: ${key}`).filter((exception) => !found.has(exception)),
  );
  return [
    ...unexpected.map(({ rule, key, detail }) => `${rule}: ${key}: ${detail}`),
    ...stale.map((exception) => `${exception}: no longer occurs; remove it from structure-exceptions.json`),
  ];
}
