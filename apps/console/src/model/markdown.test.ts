import { expect, test } from "vitest";
import { parseMarkdown, safeAddress } from "./markdown.ts";

const text = (value: string) => ({ kind: "text", text: value });
const paragraph = (...children: object[]) => ({ kind: "paragraph", children });

test("paragraphs, headings, code, quotes, rules and emphasis are parsed", () => {
  expect(
    parseMarkdown(
      "# Title #\n\nSome **bold**, *em*, ~~gone~~ and `co*d*e`.\nNext line\n\n---\n> said\n\n```ts\nlet a;\n\n# no\n```",
    ),
  ).toEqual([
    { kind: "heading", level: 1, children: [text("Title")] },
    paragraph(
      text("Some "),
      { kind: "strong", children: [text("bold")] },
      text(", "),
      { kind: "em", children: [text("em")] },
      text(", "),
      { kind: "del", children: [text("gone")] },
      text(" and "),
      { kind: "code", text: "co*d*e" },
      text(".\nNext line"),
    ),
    { kind: "rule" },
    { kind: "quote", blocks: [paragraph(text("said"))] },
    { kind: "code", text: "let a;\n\n# no" },
  ]);
});

test("list items may contain blocks and nested lists", () => {
  expect(parseMarkdown("1. one\n2. two\n   - inner\n   - more\n\nafter")).toEqual([
    {
      kind: "list",
      start: 1,
      items: [
        [paragraph(text("one"))],
        [
          paragraph(text("two")),
          { kind: "list", start: null, items: [[paragraph(text("inner"))], [paragraph(text("more"))]] },
        ],
      ],
    },
    paragraph(text("after")),
  ]);
});

test("a list continues after several empty lines if an item or an indented line follows", () => {
  expect(parseMarkdown("1. one\n\n\n   more\n\n\n2. two\n\n\nafter")).toEqual([
    { kind: "list", start: 1, items: [[paragraph(text("one")), paragraph(text("more"))], [paragraph(text("two"))]] },
    paragraph(text("after")),
  ]);
});

test("tables have a header, rows and column alignment", () => {
  expect(parseMarkdown("| a | b |\n|---|:-:|\n| 1 | `x` |")).toEqual([
    {
      kind: "table",
      aligns: [undefined, "center"],
      head: [[text("a")], [text("b")]],
      rows: [[[text("1")], [{ kind: "code", text: "x" }]]],
    },
  ]);
});

test("an escaped bar belongs to its cell, and the label of a link shows no escapes", () => {
  const [table] = parseMarkdown("a|b\n-|-\n`x \\| y`|z \\|");
  expect(table).toMatchObject({ rows: [[[{ kind: "code", text: "x | y" }], [text("z |")]]] });
  const link = { kind: "link", address: "https://x.com/", children: [text("a [b]")] };
  expect(parseMarkdown("[a \\[b\\]](https://x.com)")).toEqual([paragraph(link)]);
});

test("a table is not wider than its head, and hides nothing; a very large one is code", () => {
  const [table] = parseMarkdown("a|b\n-|-\n1|2|3|4\n5");
  expect(table).toMatchObject({ rows: [[[text("1")], [text("2 | 3 | 4")]]] });
  const [row] = parseMarkdown(`a|b\n-|-\n${"|".repeat(50_000)}`);
  expect(row?.kind === "table" && row.rows.flat()).toHaveLength(2);
  for (const [columns, rows] of [
    [120, 1],
    [2, 6_000],
  ] as const) {
    const large = ["a", "-", ...Array.from({ length: rows }, () => "1")].map(
      (cell) => `|${`${cell}|`.repeat(columns)}`,
    );
    expect(parseMarkdown(large.join("\n"))).toEqual([{ kind: "code", text: large.join("\n") }]);
  }
});

test("marks enclose at most 1,000 characters, also with code between them, so that each one reads little", () => {
  const [short, long] = [4, 12].map((count) =>
    "a `code of more than 90 characters, which has no end so soon because it goes on and on and on`".repeat(count),
  );
  for (const [mark, kind] of [
    ["**", "strong"],
    ["*", "em"],
    ["_", "em"],
    ["~~", "del"],
  ]) {
    expect(parseMarkdown(`${mark}${short}${mark}`)).toMatchObject([{ children: [{ kind }] }]);
    expect(parseMarkdown(`${mark}${long}${mark}`)).toMatchObject([
      { children: [text(`${mark}a `), ...Array.from({ length: 24 }, () => ({}))] },
    ]);
  }
});

test("an escaped character belongs to the address of a link, and code binds closer than a link", () => {
  const link = { kind: "link", address: "https://example.com/x_(y)", children: [text("wiki")] };
  expect(parseMarkdown(String.raw`[wiki](https://example.com/x\_\(y\))`)).toEqual([paragraph(link)]);
  expect(parseMarkdown("[a `](https://example.com/) b`")).toEqual([
    paragraph(text("[a "), { kind: "code", text: "](https://example.com/) b" }),
  ]);
});

test("HTML stays plain text, and only web and mail links become links", () => {
  expect(parseMarkdown("<img src=x onerror=alert(1)>")).toEqual([paragraph(text("<img src=x onerror=alert(1)>"))]);
  for (const address of [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "//evil.example",
    "\u0001javascript:x",
    "https://github.com@evil.example/",
    "https://:github.com@evil.example/x",
    "https://:@evil.example:x/",
  ]) {
    expect(safeAddress(address)).toBeNull();
    const links = JSON.stringify(parseMarkdown(`[click](${address}) ![image](${address})`));
    expect(links).not.toContain('"link"');
  }
  expect(parseMarkdown("[docs](https://example.com/a) https://example.com/b.")).toEqual([
    paragraph(
      { kind: "link", address: "https://example.com/a", children: [text("docs")] },
      text(" "),
      { kind: "link", address: "https://example.com/b", children: [text("https://example.com/b")] },
      text("."),
    ),
  ]);
});

test.each([
  ["https://github.com/letta-ai", "https://evil.example/"],
  ["HTTPS:github.com", "https://evil.example/"],
  ["see github.com/letta-ai, please", "https://evil.example/"],
  ["“github.com.”", "https://evil.example/github.com"],
  ["github.com", "https://github.com.evil.example/"],
  ["github\u3002com", "https://evil.example/"],
  ["git\u00adhub.com", "https://evil.example/"],
  ["http://localhost:8787", "https://evil.example/"],
  ["help@letta.com", "mailto:help@evil.example"],
  ["192.168.0.1/login", "https://evil.example/"],
  ["at 10.0.0.1:8080.", "https://evil.example/"],
  ["192\u3002168\u30020\u30021", "https://evil.example/"],
  ["localhost:8787", "https://evil.example/"],
  ["see localhost.", "https://evil.example/"],
  ["see:github.com", "https://evil.example/"],
  ["see\uff1agithub.com\uff0fletta", "https://evil.example/"],
  ["https://evil.example:github.com", "https://evil.example/"],
  ["https://github.com:x@evil.example", "https://evil.example/"],
  ["github.com!", "https://evil.example/"],
  ["git://github.com", "https://evil.example/"],
  ["“https://intranet/”", "https://evil.example/"],
])("a label that names another host than its link, %j, is followed by the address of the link", (label, address) => {
  const shown = label.replace("\u00ad", String.raw`\u00ad`);
  const link = { kind: "link", address, children: [text(`${shown} (${address})`)] };
  expect(parseMarkdown(`[${label}](${address})`)).toEqual([paragraph(link)]);
});

test.each([
  ["the docs of v1.2, e.g. here", "https://docs.letta.com/"],
  ["https://docs.letta.com", "https://docs.letta.com/a"],
  ["docs.letta.com/a?b", "https://docs.letta.com/a?b"],
  ["help@letta.com", "mailto:help@letta.com"],
  ["mailto:help@letta.com", "mailto:help@letta.com?subject=x"],
  ["https://docs.letta.com:8443/a:b", "https://docs.letta.com:8443/a:b?c"],
  ["192.168.0.1", "https://192.168.0.1/login"],
  ["localhost:8787", "http://localhost:8787/"],
  ["note: 8787, 3.14, 0.32.18, vitest@5.1.1, 10:30:15, std::string, 80%", "https://docs.letta.com/"],
])("a label that names no other host, %j, stays unchanged", (label, address) => {
  const link = { kind: "link", address, children: [text(label)] };
  expect(parseMarkdown(`[${label}](${address})`)).toEqual([paragraph(link)]);
});

test("invisible characters in a link label are shown", () => {
  const [block] = parseMarkdown("[moc.buhtig//:sptth\u202e](https://evil.example/)");
  expect(JSON.stringify(block)).toContain(String.raw`moc.buhtig//:sptth\\u202e`);
});

test("incomplete and hostile Markdown is parsed without an error or a long delay", () => {
  expect(parseMarkdown("```js\nunfinished")).toEqual([{ kind: "code", text: "unfinished" }]);
  expect(parseMarkdown("**unfinished")).toEqual([paragraph(text("**unfinished"))]);
  for (const piece of ["*", "**a", "`", "[", "](", "> ", "- ", "|", "![a](", "~~x", "_a", "1. "])
    expect(parseMarkdown(piece.repeat(20_000 / piece.length)).length).toBeGreaterThan(0);
  const long = (piece: string): string => piece.repeat(100_000 / piece.length);
  for (const hostile of [
    `# a ${long("#")}b`,
    `# a${long(" ")}b`,
    `|\n-${long(" ")}b`,
    `- a${long("\n")}b`,
    `${long(" **a")}${long("`b")}`,
    long(" *a `b` \\"),
    long(`${"`".repeat(5)}${" **a".repeat(248)}`),
  ])
    expect(parseMarkdown(hostile).length).toBeGreaterThan(0);
});
