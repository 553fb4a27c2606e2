/**
 * A tokenizer that knows just enough of TypeScript to tell code from comments, strings, templates and regular expressions.
 *
 * @typedef {object} Token
 * @property {"name" | "string" | "template" | "number" | "regex" | "mark"} kind
 * @property {string} text the name, the mark, or what stands between the quotes
 * @property {number} line counted from 1
 */

const nameStart = /[\p{ID_Start}$_#@]/u;
const namePart = /[\p{ID_Continue}$\u200c\u200d]/u;
/** After these words a slash begins a regular expression, after other names it divides. */
const wordsBeforeExpression = new Set(
  "await case delete do else extends in instanceof new of return throw typeof void yield".split(" "),
);

/** @param {Token | undefined} previous */
function slashDivides(previous) {
  if (previous === undefined) return false;
  if (previous.kind === "mark") return previous.text === ")" || previous.text === "]" || previous.text === "}";
  return previous.kind !== "name" || !wordsBeforeExpression.has(previous.text);
}

/** @param {string} source @param {number} start index of the opening quote @returns {number} index of the closing one */
function endOfString(source, start) {
  let index = start + 1;
  while (index < source.length && source[index] !== source[start] && source[index] !== "\n") {
    index += source[index] === "\\" ? 2 : 1;
  }
  return index;
}

/** @param {string} source @param {number} start index of the opening slash @returns {number} index after the flags */
function endOfRegex(source, start) {
  let index = start + 1;
  let inClass = false;
  while (index < source.length && source[index] !== "\n" && (inClass || source[index] !== "/")) {
    if (source[index] === "[") inClass = true;
    if (source[index] === "]") inClass = false;
    index += source[index] === "\\" ? 2 : 1;
  }
  index += 1;
  while (/[a-z]/.test(source[index] ?? "")) index += 1;
  return index;
}

/** Index after the run of characters from `start` that match. @param {string} source @param {number} start @param {RegExp} part */
function endOfRun(source, start, part) {
  let index = start + 1;
  while (index < source.length && part.test(source[index] ?? "")) index += 1;
  return index;
}

/**
 * Splits a module into tokens without comments. The code in a template's `${}` is tokenized like any other.
 *
 * @param {string} source
 * @returns {Token[]}
 */
export function tokenize(source) {
  /** @type {Token[]} */
  const tokens = [];
  /** For each template that is open: how many braces are open inside its current `${}`. @type {number[]} */
  const templates = [];
  let index = 0;
  let line = 1;

  /** @param {Token["kind"]} kind @param {number} end @param {string} [text] */
  const take = (kind, end, text = source.slice(index, end)) => {
    tokens.push({ kind, text, line });
    line += source.slice(index, end).split("\n").length - 1;
    index = end;
  };
  /** Reads template text from `from` to the closing backtick or the next `${`. @param {number} from */
  const takeTemplate = (from) => {
    let end = from;
    while (end < source.length && source[end] !== "`" && !source.startsWith("${", end))
      end += source[end] === "\\" ? 2 : 1;
    const text = source.slice(from, end);
    if (source[end] === "$") templates.push(0);
    take("template", end + (source[end] === "$" ? 2 : 1), text);
  };

  while (index < source.length) {
    const character = source[index] ?? "";
    const depth = templates.at(-1);
    if (/\s/.test(character)) {
      if (character === "\n") line += 1;
      index += 1;
    } else if (source.startsWith("//", index) || (index === 0 && source.startsWith("#!"))) {
      const end = source.indexOf("\n", index);
      index = end === -1 ? source.length : end;
    } else if (source.startsWith("/*", index)) {
      const close = source.indexOf("*/", index + 2);
      const end = close === -1 ? source.length : close + 2;
      line += source.slice(index, end).split("\n").length - 1;
      index = end;
    } else if (character === '"' || character === "'") {
      const end = endOfString(source, index);
      take("string", end + 1, source.slice(index + 1, end));
    } else if (character === "`") {
      takeTemplate(index + 1);
    } else if (character === "}" && depth === 0) {
      templates.pop();
      takeTemplate(index + 1);
    } else if (nameStart.test(character)) {
      take("name", endOfRun(source, index, namePart));
    } else if (/[0-9]/.test(character)) {
      take("number", endOfRun(source, index, /[\w.]/));
    } else if (character === "/" && !slashDivides(tokens.at(-1))) {
      take("regex", endOfRegex(source, index));
    } else {
      if (depth !== undefined && character === "{") templates[templates.length - 1] = depth + 1;
      if (depth !== undefined && character === "}") templates[templates.length - 1] = depth - 1;
      const mark = ["...", "?.", "=>"].find((long) => source.startsWith(long, index)) ?? character;
      take("mark", index + mark.length);
    }
  }
  return tokens;
}
