/** Whatever an agent writes can be read: marks become elements, and every other character is shown. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Block, type Inline, parseMarkdown } from "./markdown.ts";

/** Returns what a reader sees of a text, a block a line. */
function shown(text: string): string {
  return parseMarkdown(text).map(shownOfBlock).join("\n");
}

function shownOfBlock(block: Block): string {
  switch (block.kind) {
    case "paragraph":
    case "heading":
      return shownOfLine(block.children);
    case "code":
      return block.text;
    case "quote":
      return block.blocks.map(shownOfBlock).join("\n");
    case "list":
      return block.items.map((item) => item.map(shownOfBlock).join("\n")).join("\n");
    case "table":
      return [block.head, ...block.rows].map((row) => row.map(shownOfLine).join(" ")).join("\n");
    case "rule":
      return "";
  }
}

function shownOfLine(pieces: readonly Inline[]): string {
  return pieces.map((piece) => ("text" in piece ? piece.text : shownOfLine(piece.children))).join("");
}

function lettersOf(text: string): string {
  return text.replaceAll(/\P{L}/gu, "");
}

// These are cases of the examples of CommonMark's specification in which text was lost or changed.
test.each([
  ["inline code at the start of a line is not a fence", "```one```\nand **more**", "one\nand more"],
  ["mismatched code marks are not a fence", "```one``\nmore", "```one``\nmore"],
  ["a fence followed by text does not close a code block", "```\n``` sh\nls\n```\nmore", "``` sh\nls\nmore"],
  ["a fence indented like code does not close a code block", "```\nlet a;\n    ```", "let a;\n    ```"],
  ["a fence of other characters does not close a code block", "~~~\n```\n~~~\nmore", "```\nmore"],
  ["a longer fence closes a code block, and a shorter one does not", "````\n```\n``````  \nmore", "```\nmore"],
  ["a hash attached to the last word of a heading is kept", "## About C#", "About C#"],
  ["hashes after a space close a heading", "## About F# ####  ", "About F#"],
  ["escaped hashes are kept", "# About \\#\n## and #\\##", "About #\nand ###"],
  ["a heading may be empty", "#\n## \n### ###\nmore", "\n\n\nmore"],
  ["code in a list item may contain several empty lines", "- one\n\n  ```\n  a\n\n\n  b\n  ```", "one\na\n\n\nb"],
  ["an empty list item does not interrupt a paragraph", "one\n*\nmore", "one\n*\nmore"],
  ["a non-breaking space does not start a list item", "*\u00a0one", "*\u00a0one"],
  ["code takes precedence over emphasis", "match *.ts and `*.js`", "match *.ts and *.js"],
  ["code takes precedence over strong emphasis", "match **/*.ts or `**/*.js`", "match **/*.ts or **/*.js"],
  ["code takes precedence over strikethrough", "from ~~a to `~~b`", "from ~~a to ~~b"],
  ["code closes with as many backticks as it opens with", "a ``b` c", "a ``b` c"],
  ["emphasis closes with the mark that opened it", "the names _a* and b", "the names _a* and b"],
  ["escaped marks do not close emphasis", "*one\\* more", "*one* more"],
  ["underscores inside a word of any script are kept", "имя_файла_ и _один", "имя_файла_ и _один"],
  ["marks without text between them are kept", "stars ***** and ****", "stars ***** and ****"],
])("%s", (_name, text, expected) => {
  expect(shown(text)).toBe(expected);
});

test("strong emphasis may be emphasized, and emphasis may have code with marks in it", () => {
  expect(parseMarkdown("***one***")).toEqual([
    {
      kind: "paragraph",
      children: [{ kind: "strong", children: [{ kind: "em", children: [{ kind: "text", text: "one" }] }] }],
    },
  ]);
  expect(parseMarkdown("*`a_*b`* 这是*强调*文本")).toEqual([
    {
      kind: "paragraph",
      children: [
        { kind: "em", children: [{ kind: "code", text: "a_*b" }] },
        { kind: "text", text: " 这是" },
        { kind: "em", children: [{ kind: "text", text: "强调" }] },
        { kind: "text", text: "文本" },
      ],
    },
  ]);
});

/** Pieces of generated texts. There are no addresses, because a link with a label does not show its address. */
const mark = fc.constantFrom(
  ..."*_~`#>-+|=\\!()[]:.1 \t\n".split(""),
  ..."** ~~ ``` ~~~ ```` # ### 2. - \n\n\n\n\n> | \n--- |---|".split(" "),
  "\n- ",
  "\n   ",
  "\n1. ",
  " #",
);
const word = fc.constantFrom("a", "b", "ж", "字", "C#", "x_y");
const marked = fc.array(fc.oneof(mark, word), { maxLength: 40 }).map((pieces) => pieces.join(""));

/** A line that begins code and names its language, which is not shown. */
const language = /^[\s>*+\-\d.)]*(?:`{3,}[^`\n]*\p{L}[^`\n]*|~{3,}.*\p{L}.*)$/mu;

test("Markdown rendering loses no letter, whatever markup surrounds it", () => {
  fc.assert(
    fc.property(marked, (text) => {
      fc.pre(!language.test(text));
      expect(lettersOf(shown(text))).toBe(lettersOf(text));
    }),
    { numRuns: 5_000 },
  );
});

test("fenced code is shown verbatim, at the top level and inside list items and quotes", () => {
  const opening = fc.tuple(fc.constantFrom("`", "~"), fc.integer({ min: 3, max: 6 }));
  const line = fc.array(fc.oneof(mark, word), { maxLength: 8 }).map((pieces) => {
    const joined = pieces.join("").replaceAll("\n", "");
    return joined.trim() === "" ? "" : joined;
  });
  const prefix = fc.constantFrom(["", ""], ["> ", "> "], ["- ", "  "], ["1. ", "   "]);
  fc.assert(
    fc.property(opening, fc.array(line, { maxLength: 8 }), prefix, ([character, length], lines, [first, next]) => {
      const fence = character.repeat(length);
      const end = new RegExp(`^ {0,3}${fence}${character}*\\s*$`);
      fc.pre(!lines.some((each) => end.test(each)));
      const text = [`${first}${fence}sh`, ...lines.map((each) => `${next}${each}`), `${next}${fence}`, "", "end"];
      expect(shown(text.join("\n"))).toBe(`${lines.join("\n")}\nend`);
    }),
    { numRuns: 2_000 },
  );
});
