import { tokenize } from "./tokenize.mjs";

/** @typedef {import("./tokenize.mjs").Token} Token */
/** @typedef {{ text: string, line: number }} Occurrence */
/** @typedef {Occurrence & { isTypeOnly: boolean }} ImportOccurrence */

/**
 * The index of the specifier of the import or export declaration at `start`, or undefined when it names no module.
 *
 * @param {readonly Token[]} tokens
 * @param {number} start
 */
function specifierIndex(tokens, start) {
  const next = tokens[start + 1];
  if (next === undefined) return undefined;
  if (tokens[start]?.text === "import") {
    if (next.kind === "string") return start + 1;
    if (next.text === "(")
      return ["string", "template"].includes(tokens[start + 2]?.kind ?? "") ? start + 2 : undefined;
    if (next.text === ".") return undefined;
  } else if (
    next.text !== "{" &&
    next.text !== "*" &&
    !(next.text === "type" && /^[{*]$/.test(tokens[start + 2]?.text ?? ""))
  ) {
    return undefined;
  }
  for (let index = start + 1; index < tokens.length; index += 1) {
    const token = tokens[index];
    if (token?.kind === "name" && token.text === "from" && tokens[index + 1]?.kind === "string") return index + 1;
    if (
      token === undefined ||
      /^[;=()]$/.test(token.text) ||
      (index > start + 1 && /^(?:import|export)$/.test(token.text))
    ) {
      return undefined;
    }
  }
  return undefined;
}

/** @param {readonly Token[]} tokens @returns {ImportOccurrence[]} */
function importsOf(tokens) {
  return tokens.flatMap((token, index) => {
    if (token.kind !== "name" || tokens[index - 1]?.text === ".") return [];
    const isRequire =
      token.text === "require" && tokens[index + 1]?.text === "(" && tokens[index + 2]?.kind === "string";
    if (!isRequire && token.text !== "import" && token.text !== "export") return [];
    const specifier = tokens[isRequire ? index + 2 : (specifierIndex(tokens, index) ?? -1)];
    // `import type from "x"` imports a value that is called type.
    const isTypeOnly = tokens[index + 1]?.text === "type" && tokens[index + 2]?.text !== "from";
    return specifier === undefined ? [] : [{ text: specifier.text, line: specifier.line, isTypeOnly }];
  });
}

/** Names that mean the platform wherever they stand alone, not as a member, a key or a declared function. */
const platformNames = new Set(["process", "Deno", "Bun", "setInterval"]);
/** Members of globals that are read from the platform. */
const platformMembers = new Set(["Date.now", "Math.random", "performance.now"]);
const globalNames = new Set(["globalThis", "self", "window", "global"]);
const globalMembers = new Set(["caches", ...platformNames]);

/**
 * @param {readonly Token[]} tokens
 * @param {number} index of a name
 * @returns {boolean} true when the name stands for a variable, not for a member, a key or a method
 */
function isVariable(tokens, index) {
  const before = tokens[index - 1]?.text;
  const after = tokens[index + 1]?.text;
  if (before === "." || before === "?." || before === "function") return false;
  const isKey = after === ":" || (after === "?" && tokens[index + 2]?.text === ":");
  // `a ? process : b` has a colon behind it too, but is no key.
  return !(isKey && before !== "?");
}

/** @param {readonly Token[]} tokens @param {number} index */
function memberOf(tokens, index) {
  const dot = tokens[index + 1]?.text;
  if (dot === "." || dot === "?.") return tokens[index + 2]?.text;
  return dot === "[" && tokens[index + 2]?.kind === "string" ? tokens[index + 2]?.text : undefined;
}

/** @param {readonly Token[]} tokens @returns {Occurrence[]} */
function platformUsesOf(tokens) {
  return tokens.flatMap((token, index) => {
    if (token.kind !== "name" || !isVariable(tokens, index)) return [];
    const member = memberOf(tokens, index);
    if (platformNames.has(token.text)) {
      // A function of the same name that is declared here as a method or a property is not the global.
      const isMethod = token.text !== "setInterval" && tokens[index + 1]?.text === "(";
      return isMethod ? [] : [{ text: token.text, line: token.line }];
    }
    if (member !== undefined && platformMembers.has(`${token.text}.${member}`)) {
      return [{ text: `${token.text}.${member}`, line: token.line }];
    }
    if (member !== undefined && globalNames.has(token.text) && globalMembers.has(member)) {
      return [{ text: `${token.text}.${member}`, line: token.line }];
    }
    const makesDate = token.text === "Date" && tokens[index - 1]?.text === "new";
    const hasArguments = tokens[index + 1]?.text === "(" && tokens[index + 2]?.text !== ")";
    return makesDate && !hasArguments ? [{ text: "new Date()", line: token.line }] : [];
  });
}

/**
 * What a module imports and which platform globals it reads, found without running it.
 *
 * @param {string} source
 * @returns {{ imports: ImportOccurrence[], platformUses: Occurrence[] }}
 */
export function moduleFacts(source) {
  const tokens = tokenize(source);
  return { imports: importsOf(tokens), platformUses: platformUsesOf(tokens) };
}
