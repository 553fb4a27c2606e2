/**
 * Markdown of agents as a tree: paragraphs, headings, lists, quotes, code, tables, and emphasis, code and links within them. Covers the
 * part of CommonMark that models write, without HTML: markup in the text stays text. Views make elements from the tree, never from
 * strings.
 */
import { printable } from "@letta-environments/command-line/printable";

/** A piece of a line. */
export type Inline =
  | { readonly kind: "text" | "code"; readonly text: string }
  | { readonly kind: "strong" | "em" | "del"; readonly children: readonly Inline[] }
  | { readonly kind: "link"; readonly address: string; readonly children: readonly Inline[] };

/** A block. */
export type Block =
  | { readonly kind: "paragraph"; readonly children: readonly Inline[] }
  | { readonly kind: "heading"; readonly level: number; readonly children: readonly Inline[] }
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "quote"; readonly blocks: readonly Block[] }
  | { readonly kind: "list"; readonly start: number | null; readonly items: readonly (readonly Block[])[] }
  | {
      readonly kind: "table";
      /** Of each column; `undefined`: the page decides. */
      readonly aligns: readonly ("right" | "center" | undefined)[];
      readonly head: readonly (readonly Inline[])[];
      readonly rows: readonly (readonly (readonly Inline[])[])[];
    }
  | { readonly kind: "rule" };

/** Quotes and lists that are nested deeper are paragraphs. */
const maxDepth = 8;
/** Larger tables are code. The time that a browser takes for one grows with the square of its columns, and with its cells. */
const maxTableSize = 10_000;
// Code that begins and ends within a line may begin a paragraph, so a fence has no backtick after it.
const fence = /^ {0,3}(`{3,}(?=[^`]*$)|~{3,})/;
const fenceEnd = /^ {0,3}(`{3,}|~{3,})\s*$/;
const heading = /^ {0,3}(#{1,6})(?=\s|$)/;
const rule = /^ {0,3}(?:(?:\*\s*){3,}|(?:-\s*){3,}|(?:_\s*){3,})$/;
const quote = /^ {0,3}> ?/;
const item = /^( {0,3})([-*+]|\d{1,9}[.)])([ \t]+|$)/;
const tableRule = /^ {0,3}\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*(?:\|\s*)?$/;

/** Reads a text as blocks. */
export function parseMarkdown(text: string): readonly Block[] {
  return parseBlocks(text.replaceAll("\r\n", "\n").split("\n"), 0);
}

function parseBlocks(lines: readonly string[], depth: number): readonly Block[] {
  const blocks: Block[] = [];
  let index = 0;
  while (index < lines.length) {
    const [block, length] = parseBlock(lines, index, depth);
    if (block !== null) blocks.push(block);
    index += length;
  }
  return blocks;
}

/** Returns the block that begins at a line, and its number of lines; `null` for an empty line. */
function parseBlock(lines: readonly string[], index: number, depth: number): readonly [Block | null, number] {
  const line = lines[index] ?? "";
  if (line.trim() === "") return [null, 1];
  const opening = fence.exec(line)?.[1];
  if (opening !== undefined) return parseFence(lines, index, opening);
  const title = heading.exec(line);
  if (title !== null) return [parseHeading(line.slice(title[0].length), title[1]?.length ?? 1), 1];
  if (rule.test(line)) return [{ kind: "rule" }, 1];
  if (depth < maxDepth && quote.test(line)) return parseQuote(lines, index, depth);
  if (depth < maxDepth && item.test(line)) return parseList(lines, index, depth);
  if (line.includes("|") && tableRule.test(lines[index + 1] ?? "")) return parseTable(lines, index);
  const length = countWhile(lines, index + 1, (next) => next.trim() !== "" && !beginsBlock(next)) + 1;
  const text = lines
    .slice(index, index + length)
    .map((each) => each.trim())
    .join("\n");
  return [{ kind: "paragraph", children: parseInline(text) }, length];
}

/** Returns whether a line ends a paragraph above it. An item without a text does not. */
function beginsBlock(line: string): boolean {
  const hasItem = (item.exec(line)?.[0].length ?? line.length) < line.length;
  return hasItem || fence.test(line) || heading.test(line) || quote.test(line) || rule.test(line);
}

/** Closing hashes of a heading have a space before them: hashes of a word, such as `C#`, belong to the text. */
function parseHeading(text: string, level: number): Block {
  const title = text.trim().replace(/(?:^|\s)#+$/, "");
  return { kind: "heading", level, children: parseInline(title.trimEnd()) };
}

function parseFence(lines: readonly string[], index: number, opening: string): readonly [Block, number] {
  const length = countWhile(lines, index + 1, (line) => fenceEnd.exec(line)?.[1]?.startsWith(opening) !== true);
  const text = lines.slice(index + 1, index + 1 + length).join("\n");
  // A fence that is still being written has no end yet.
  return [{ kind: "code", text }, length + 2];
}

function parseQuote(lines: readonly string[], index: number, depth: number): readonly [Block, number] {
  const length = countWhile(lines, index, (line) => quote.test(line));
  const inner = lines.slice(index, index + length).map((line) => line.replace(quote, ""));
  return [{ kind: "quote", blocks: parseBlocks(inner, depth + 1) }, length];
}

function parseList(lines: readonly string[], index: number, depth: number): readonly [Block, number] {
  const isOrdered = (line: string): boolean => /\d/.test(item.exec(line)?.[2] ?? "");
  const ordered = isOrdered(lines[index] ?? "");
  const items: string[][] = [];
  let end = index;
  let indent = 0;
  for (; end < lines.length; end++) {
    const line = lines[end] ?? "";
    const marker = item.exec(line);
    if (marker !== null && (items.length === 0 || (marker[1] ?? "").length < indent)) {
      if (isOrdered(line) !== ordered || rule.test(line)) break;
      indent = Math.min(marker[0].length, (marker[1] ?? "").length + (marker[2] ?? "").length + 1);
      items.push([line.slice(marker[0].length)]);
    } else if (line.trim() === "") {
      // Empty lines end the list unless an item continues after them.
      const last = end + countWhile(lines, end + 1, (each) => each.trim() === "");
      const next = lines[last + 1] ?? "";
      if (!/^\s{2,}\S/.test(next) && !item.test(next)) break;
      for (; end < last; end++) items.at(-1)?.push("");
      items.at(-1)?.push("");
    } else if (/^\s/.test(line))
      items.at(-1)?.push(line.slice(Math.min(indent, line.length - line.trimStart().length)));
    else if (beginsBlock(line)) break;
    else items.at(-1)?.push(line);
  }
  const start = ordered ? Number.parseInt(item.exec(lines[index] ?? "")?.[2] ?? "1", 10) : null;
  return [
    { kind: "list", start, items: items.map((inner) => parseBlocks(inner, depth + 1)) },
    Math.max(1, end - index),
  ];
}

function parseTable(lines: readonly string[], index: number): readonly [Block, number] {
  const length = countWhile(lines, index + 2, (line) => line.includes("|")) + 2;
  const table = lines.slice(index, index + length);
  const [head = [], rules = [], ...rows] = table.map(cellsOf);
  const columns = head.length;
  if (columns * (columns + length) > maxTableSize) return [{ kind: "code", text: table.join("\n") }, length];
  const aligns = rules.map((cell) => (cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : undefined));
  // The last column has what a row has beyond it: nothing is hidden, and no row makes the table wider.
  const bodies = rows.map((row) => [...row.slice(0, columns - 1), row.slice(columns - 1).join(" | ")]);
  return [
    { kind: "table", aligns, head: head.map(parseInline), rows: bodies.map((row) => row.map(parseInline)) },
    length,
  ];
}

function cellsOf(line: string): readonly string[] {
  const inner = line
    .trim()
    .replace(/^\|/, "")
    .replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.replaceAll("\\|", "|").trim());
}

function countWhile(lines: readonly string[], from: number, test: (line: string) => boolean): number {
  let index = from;
  while (index < lines.length && test(lines[index] ?? "")) index++;
  return index - from;
}

const escaped = /\\([\\`*_{}[\]()#+.!~|>-])/g;

/** Escaped characters, and code: they bind closer than links and emphasis. */
const close = new RegExp(`${escaped.source}|${/(?<!`)(`{1,4})(?!`)([^\n]{1,2000}?)(?<!`)\2(?!`)/.source}`, "g");

/**
 * The earliest of these begins the next piece of a {@link cover covered} text. Each part has a bounded number of characters, so that hostile
 * texts take linear time.
 */
const piece = new RegExp(
  [
    /(\\{2,})|(\0+)/.source,
    /!?\[([^\][\n]{0,500})\]\(([^()\s\0]{1,2000})(?:\s+"[^"\n]{0,500}")?\)/.source,
    /\*\*(?=\*?[^\s*])([^\n]{1,1000}?)(?<=\S)\*\*(?!\*)/.source,
    /(?<![\w*])\*(?=[^\s*])([^*\n]{1,1000}?)(?<=\S)\*(?![\w*])/.source,
    // Underscores are parts of names, in any script.
    /(?<![\p{L}\p{N}_])_(?=[^\s_])([^_\n]{1,1000}?)(?<=\S)_(?![\p{L}\p{N}_])/u.source,
    /~~(?=\S)([^~\n]{1,1000}?)~~/.source,
    /https?:\/\/[^\s<>"'`\0]{1,2000}[^\s<>"'`\0.,;:!?)\]]/.source,
  ].join("|"),
  "dgu",
);

/** Replaces what binds closer, so that no mark in it counts, with as many characters. */
function cover(text: string): string {
  return text.replace(close, (all: string, character?: string) => (character ? "\\" : "\0").repeat(all.length));
}

function parseInline(text: string): readonly Inline[] {
  const pieces: Inline[] = [];
  let end = 0;
  for (const { index, indices = [] } of cover(text).matchAll(piece)) {
    if (index > end) pieces.push({ kind: "text", text: text.slice(end, index) });
    const parts = indices.map((range: readonly [number, number] | undefined) => range && text.slice(...range));
    const [all = "", escapes, code, label, address, strong, starred, underscored, del] = parts;
    const em = starred ?? underscored;
    if (escapes !== undefined) pieces.push({ kind: "text", text: unescape(escapes) });
    else if (code !== undefined) pieces.push({ kind: "code", text: code.replace(/^`+|`+$/g, "").trim() });
    else if (address !== undefined) pieces.push(linkOf(unescape(address), unescape(label || address), all));
    else if (strong !== undefined) pieces.push({ kind: "strong", children: parseInline(strong) });
    else if (em !== undefined) pieces.push({ kind: "em", children: parseInline(em) });
    else if (del !== undefined) pieces.push({ kind: "del", children: parseInline(del) });
    else pieces.push(linkOf(all, all, all));
    end = index + all.length;
  }
  if (end < text.length) pieces.push({ kind: "text", text: text.slice(end) });
  return pieces;
}

function unescape(text: string): string {
  return text.replace(escaped, "$1");
}

function linkOf(address: string, label: string, raw: string): Inline {
  const safe = safeAddress(address);
  if (safe === null) return { kind: "text", text: raw };
  const shown = printable(label);
  const text = label !== address && namesOtherHost(label, hostOf(safe)) ? `${shown} (${safe})` : shown;
  return { kind: "link", address: safe, children: [{ kind: "text", text }] };
}

/** Returns whether a label looks like an address of a different host than its link. */
function namesOtherHost(label: string, host: string): boolean {
  // Browsers read a wide colon, slash or dot as the common one.
  const common = label.normalize("NFKC").replaceAll("\u3002", ".");
  return common.split(/[\s"'()<>[\]{},;|]+|(?<!https?):|:(?!\/\/)/i).some((word) => {
    const named = hostOf(word);
    // A word is an address by its scheme, or by its host: `v1.2` and `e.g.` have none, and `3.14` is one only to browsers.
    const isHost = /^localhost$|\.[a-z][a-z\d-]+$/.test(named) || (/^[\d.]+$/.test(named) && /(?:\.\w+){3}/.test(word));
    return named !== host && (/https?:/i.test(word) || isHost);
  });
}

/** Returns the host of an address as browsers read it, with or without a scheme; an empty text if it has no host. */
function hostOf(address: string): string {
  const rest = address.replace(/^[^\p{L}\p{N}]*(?:(?:https?|mailto):[^\p{L}\p{N}]*)?/iu, "");
  return (URL.parse(`https://${rest}`)?.hostname ?? "").replace(/[^\p{L}\p{N}]+$/u, "");
}

/** Returns an address that a page may open; `null` for any other, such as `javascript:`, or one with credentials, which look like its host. */
export function safeAddress(text: string): string | null {
  const url = URL.parse(text);
  if (url === null || url.username + url.password !== "") return null;
  return ["https:", "http:", "mailto:"].includes(url.protocol) ? url.href : null;
}
