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
  ["code at the beginning of a line is no fence", "```one```\nand **more**", "one\nand more"],
  ["code whose marks do not match is no fence", "```one``\nmore", "```one``\nmore"],
  ["a fence with a text behind it ends no code", "```\n``` sh\nls\n```\nmore", "``` sh\nls\nmore"],
  ["a fence that is indented like code ends no code", "```\nlet a;\n    ```", "let a;\n    ```"],
  ["a fence of other characters ends no code", "~~~\n```\n~~~\nmore", "```\nmore"],
  ["a longer fence ends code, and a shorter one does not", "````\n```\n``````  \nmore", "```\nmore"],
  ["a hash of the last word of a heading stays", "## About C#", "About C#"],
  ["hashes behind a space end a heading", "## About F# ####  ", "About F#"],
  ["hashes that are escaped stay", "# About \\#\n## and #\\##", "About #\nand ###"],
  ["a heading may be empty", "#\n## \n### ###\nmore", "\n\n\nmore"],
  ["code of an item may have several empty lines", "- one\n\n  ```\n  a\n\n\n  b\n  ```", "one\na\n\n\nb"],
  ["an item without a text does not end a paragraph", "one\n*\nmore", "one\n*\nmore"],
  ["a space that does not break makes no item", "*\u00a0one", "*\u00a0one"],
  ["code binds closer than emphasis", "match *.ts and `*.js`", "match *.ts and *.js"],
  ["code binds closer than strong emphasis", "match **/*.ts or `**/*.js`", "match **/*.ts or **/*.js"],
  ["code binds closer than a line through a text", "from ~~a to `~~b`", "from ~~a to ~~b"],
  ["code ends with as many marks as it begins with", "a ``b` c", "a ``b` c"],
  ["emphasis ends with the mark that it begins with", "the names _a* and b", "the names _a* and b"],
  ["marks that are escaped end no emphasis", "*one\\* more", "*one* more"],
  ["underscores within a word of any script stay", "имя_файла_ и _один", "имя_файла_ и _один"],
  ["marks without a word between them stay", "stars ***** and ****", "stars ***** and ****"],
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

test("no letter of a text is lost, whatever marks are around it", () => {
  fc.assert(
    fc.property(marked, (text) => {
      fc.pre(!language.test(text));
      expect(lettersOf(shown(text))).toBe(lettersOf(text));
    }),
    { numRuns: 5_000 },
  );
});

test("code between fences is shown as it is written, at the top and within items and quotes", () => {
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
