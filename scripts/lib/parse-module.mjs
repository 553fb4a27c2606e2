/** Reads the facts that the structure rules need from a module's syntax tree. The parser is oxc-parser; nothing is executed. */
import { builtinModules } from "node:module";
import { posix } from "node:path";
import { parseSync, Visitor } from "oxc-parser";

/**
 * @typedef {object} Import
 * @property {string} specifier
 * @property {number} line counted from 1
 * @property {boolean} isTypeOnly true when nothing is loaded at run time
 */
/**
 * @typedef {object} Module
 * @property {string} path relative to the repository
 * @property {number} lines
 * @property {readonly Import[]} imports static, dynamic and type imports, re-exports and `require` calls with a constant specifier
 * @property {readonly { name: string, lines: number }[]} functions
 * @property {ReadonlySet<string>} identifiers every name in the code, properties included
 * @property {readonly string[]} docstrings the text of every JSDoc comment
 * @property {readonly number[]} clockReads lines with a `new Date()` without arguments
 */

/** @typedef {{ start: number, end: number }} Range */

/** The constant text of a string or of a template without expressions. @param {any} node @returns {string | undefined} */
function constantText(node) {
  if (node?.type === "Literal" && typeof node.value === "string") return node.value;
  return node?.type === "TemplateLiteral" && node.expressions.length === 0 ? node.quasis[0].value.cooked : undefined;
}

/** @param {string} source @returns {(index: number) => number} the line of an index, counted from 1 */
function createLineOf(source) {
  const starts = [0, ...[...source.matchAll(/\n/g)].map(({ index }) => index + 1)];
  return (index) => {
    const next = starts.findIndex((start) => start > index);
    return next === -1 ? starts.length : next;
  };
}

/** @param {string} path decides on the language, and names the file in errors @param {string} source @returns {Module} */
export function parseModule(path, source) {
  const { program, comments, errors } = parseSync(path, source);
  if (errors[0] !== undefined) throw new Error(`${path} cannot be parsed: ${errors[0].message}`);
  const lineOf = createLineOf(source);
  /** @type {Import[]} */
  const imports = [];
  /** @type {{ name: string, lines: number }[]} */
  const functions = [];
  /** @type {Set<string>} */
  const identifiers = new Set();
  /** @type {number[]} */
  const clockReads = [];

  /** @param {any} specifier node of the module's name @param {boolean} isTypeOnly */
  const addImport = (specifier, isTypeOnly) => {
    const text = constantText(specifier);
    if (text !== undefined) imports.push({ specifier: text, line: lineOf(specifier.start), isTypeOnly });
  };
  /** @param {any} node @param {string} [name] */
  const addFunction = (node, name = node.id?.name ?? `(anonymous)`) =>
    functions.push({ name, lines: lineOf(node.end) - lineOf(node.start) + 1 });
  const named = new Set();
  /** Names a function after its variable, property or method. @param {any} value @param {any} key */
  const nameFunction = (value, key) => {
    if (!/^(?:Arrow)?Function/.test(value?.type ?? "") || named.has(value)) return;
    named.add(value);
    addFunction(value, key?.name ?? value.id?.name);
  };

  new Visitor({
    ImportDeclaration: (node) => addImport(node.source, node.importKind === "type"),
    ExportNamedDeclaration: (node) => addImport(node.source, node.exportKind === "type"),
    ExportAllDeclaration: (node) => addImport(node.source, node.exportKind === "type"),
    ImportExpression: (node) => addImport(node.source, false),
    TSImportType: (node) => addImport(node.source, true),
    TSExternalModuleReference: (node) => addImport(node.expression, false),
    CallExpression: ({ callee, arguments: [first] }) => {
      if (callee.type === "Identifier" && callee.name === "require") addImport(first, false);
    },
    NewExpression: (node) => {
      const isDate = node.callee.type === "Identifier" && node.callee.name === "Date";
      if (isDate && node.arguments.length === 0) clockReads.push(lineOf(node.start));
    },
    Identifier: ({ name }) => void identifiers.add(name),
    VariableDeclarator: ({ id, init }) => nameFunction(init, id),
    Property: ({ key, value }) => nameFunction(value, key),
    MethodDefinition: ({ key, value }) => nameFunction(value, key),
    PropertyDefinition: ({ key, value }) => nameFunction(value, key),
    FunctionDeclaration: (node) => nameFunction(node, undefined),
    FunctionExpression: (node) => nameFunction(node, undefined),
    ArrowFunctionExpression: (node) => nameFunction(node, undefined),
  }).visit(program);
  const docstrings = comments
    .filter(({ type, value }) => type === "Block" && value.startsWith("*"))
    .map(({ value }) =>
      value
        .replaceAll(/\s*\n\s*\*/g, " ")
        .replace(/^[*\s]+/, "")
        .trim(),
    );
  const lines = source.trimEnd().split("\n").length;
  return { path, lines, imports, functions, identifiers, docstrings, clockReads };
}

const builtins = new Set(builtinModules.filter((name) => !name.startsWith("_") && !name.includes(":")));

/** The package that a bare specifier names: `@a/b` of `@a/b/c`. @param {string} specifier */
export function packageOf(specifier) {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

/** True for a built-in module of Node.js written without `node:`. @param {string} specifier */
export function isBareBuiltin(specifier) {
  return builtins.has(packageOf(specifier));
}

/** The path that a relative import names; undefined for packages. @param {string} path of the importer @param {string} specifier */
export function resolveRelative(path, specifier) {
  return specifier.startsWith(".") ? posix.join(posix.dirname(path), specifier) : undefined;
}
