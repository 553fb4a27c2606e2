import { expect, test } from "vitest";
import { diffText, foldEmpty, linesToShow } from "./line-diff.ts";
import { describeInput, isDrawable } from "./tool-input.ts";

test("edits are shown as changes, new files as additions, and commands and paths in their own fields", () => {
  expect(describeInput({ file_path: "/a.ts", old_string: "x", new_string: "y" })).toEqual([
    { kind: "path", text: "/a.ts" },
    { kind: "edit", before: "x", after: "y" },
  ]);
  expect(describeInput({ path: "/a.ts", edits: [{ old_str: "x", new_str: "y" }] })).toMatchObject([
    {},
    { kind: "edit" },
  ]);
  expect(describeInput({ file_path: "/new", content: "text" })).toEqual([
    { kind: "path", text: "/new" },
    { kind: "edit", before: "", after: "text" },
  ]);
  expect(describeInput({ command: "rm -rf x", description: "Clean", timeout: 5 })).toEqual([
    { kind: "command", text: "rm -rf x" },
    { kind: "member", name: "description", text: "Clean" },
    { kind: "member", name: "timeout", text: "5" },
  ]);
});

test("no part of an input is hidden, whatever the types of its members", () => {
  expect(describeInput({ command: 7, edits: "no list", content: null, file_path: ["x"] })).toEqual([
    { kind: "member", name: "command", text: "7" },
    { kind: "member", name: "edits", text: "no list" },
    { kind: "member", name: "content", text: "null" },
    { kind: "member", name: "file_path", text: '[\n  "x"\n]' },
  ]);
  const both = describeInput({ file_path: "/a", old_string: "x", new_string: "y", content: "z", replace_all: true });
  expect(both).toContainEqual({ kind: "member", name: "content", text: "z" });
  expect(both).toContainEqual({ kind: "member", name: "replace_all", text: "true" });
  const more = describeInput({ path: "/a", edits: [{ old_string: "x", new_string: "y", replace_all: true }] });
  expect(more[1]).toMatchObject({ kind: "member", name: "edits", text: expect.stringContaining("replace_all") });
});

test("an input is drawn if it nests at most 64 levels and has few lines, however these are distributed", () => {
  const nested = (levels: number): unknown => JSON.parse(`${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`);
  expect([nested(64), nested(65), nested(100_000)].map(isDrawable)).toEqual([true, false, false]);
  const lines = "line\n".repeat(2_400);
  expect(isDrawable({ file_path: "/a", old_string: lines, new_string: lines })).toBe(true);
  expect(isDrawable({ content: lines.repeat(3) })).toBe(false);
  const items = (count: number): object => ({ items: Array.from({ length: count }, () => 0) });
  expect([items(2_000), items(5_000)].map(isDrawable)).toEqual([true, false]);
});

test("invisible and bidirectional control characters are shown wherever the input contains them", () => {
  const turned = "echo \u202e\u2066x\u2069 \u200b\u{e0001}\u001b[2K\rrm";
  const shown = "echo \\u202e\\u2066x\\u2069 \\u200b\\udb40\\udc01\\u001b[2K\\u000drm";
  const edit = { old_string: turned, new_string: turned };
  expect(describeInput({ file_path: turned, command: turned, ...edit, [turned]: turned, list: [turned] })).toEqual([
    { kind: "path", text: shown },
    { kind: "command", text: shown },
    { kind: "edit", before: shown, after: shown },
    { kind: "member", name: shown, text: shown },
    { kind: "member", name: "list", text: `[\n  "${shown.replace("\\u000d", "\\r")}"\n]` },
  ]);
  expect(describeInput({ file_path: "/a", content: turned })[1]).toEqual({ kind: "edit", before: "", after: shown });
  for (const text of ["a\tb\nc", "Größe", "日本語", "नमस्ते", "👩‍💻"]) {
    expect(describeInput({ command: text })).toEqual([{ kind: "command", text }]);
  }
});

test("a filler character is visible, and no unusual space looks like an ordinary one in a command or path", () => {
  const edit = { file_path: "/srv/a\u2003b", old_string: "{ timeout }", new_string: "{ timeout,\u3164}" };
  expect(describeInput({ ...edit, command: "rm\u00a0-rf\u3000/\u2800" })).toEqual([
    { kind: "path", text: String.raw`/srv/a\u2003b` },
    { kind: "command", text: String.raw`rm\u00a0-rf\u3000/\u2800` },
    { kind: "edit", before: "{ timeout }", after: String.raw`{ timeout,\u3164}` },
  ]);
});

test("unusual spaces are marked in members, names and lists, but not in prose, where they are legitimate", () => {
  const shown = String.raw`x\u00a0y\u3000z`;
  const spaced = "x\u00a0y\u3000z";
  expect(describeInput({ command: ["bash", "-c", spaced], args: [spaced], env: { [spaced]: spaced } })).toEqual([
    { kind: "member", name: "command", text: `[\n  "bash",\n  "-c",\n  "${shown}"\n]` },
    { kind: "member", name: "args", text: `[\n  "${shown}"\n]` },
    { kind: "member", name: "env", text: `{\n  "${shown}": "${shown}"\n}` },
  ]);
  expect(describeInput({ script: spaced, cwd: spaced, content: [spaced], [`a\u00a0b`]: 1 })).toEqual([
    { kind: "member", name: "script", text: shown },
    { kind: "member", name: "cwd", text: shown },
    { kind: "member", name: "content", text: `[\n  "${shown}"\n]` },
    { kind: "member", name: String.raw`a\u00a0b`, text: "1" },
  ]);
  expect(describeInput({ file_path: "/a", old_string: spaced, new_string: spaced })[1]).toEqual({
    ...{ kind: "edit", before: spaced, after: spaced },
  });
  for (const name of ["description", "content"])
    expect(describeInput({ [name]: spaced })).toEqual([{ kind: "member", name, text: spaced }]);
});

test("a path is one line, with its line breaks escaped", () => {
  expect(describeInput({ file_path: "/a.txt\n\r\n  /../b" })).toEqual([
    { kind: "path", text: "/a.txt\\n\\u000d\\n  /../b" },
  ]);
});

test("a long run of empty lines is collapsed to its count, with the lines before and after it", () => {
  const text = `a${"\n".repeat(3)}b${"\n".repeat(5)}  \n\t\nc\n`;
  expect(linesToShow(text).map(({ text: line, empty }) => (empty > 0 ? empty : line))).toEqual([
    ...["a", "", "", "b"],
    6,
    ...["c", ""],
  ]);
  expect(linesToShow("\n\n\n")).toEqual([{ kind: "same", text: "", empty: 4 }]);
  const change = foldEmpty(diffText("a\n", `a\n${"\n".repeat(60)}b\n`));
  expect(change.map(({ kind, text: line, empty }) => `${kind} ${empty} ${line}`)).toEqual([
    "same 0 a",
    "added 60 ",
    "added 0 b",
  ]);
});

test.each([
  ["a\nb\nc\nd\n", "a\nc\nx\nd\n", " a,-b, c,+x, d"],
  ["a\nb\n", "", "-a,-b"],
  ["a\nb\n", "b\na\n", "-a, b,+a"],
  ["a", "a\n", "-a,+a"],
  ["a\nb\nc\nb\n", "b\nx\nc\n", "-a, b,+x, c,-b"],
  ["x\nx\nx\n", "x\nx\n", " x, x,-x"],
  ["a\n\nb\n", "a\nb\n", " a,-, b"],
  ["one\ntwo\nthree\nfour\n", "zero\ntwo\nfour\nfive\n", "-one,+zero, two,-three, four,+five"],
])(
  "a diff contains every line of both texts in order, with as many unchanged lines as possible: %j to %j",
  (before, after, expected) => {
    const marks = { same: " ", added: "+", removed: "-", skipped: "…" };
    expect(
      diffText(before, after)
        .map(({ kind, text }) => marks[kind] + text)
        .join(","),
    ).toBe(expected);
  },
);

test("a diff shows changed lines with some context lines", () => {
  const before = Array.from({ length: 20 }, (_, index) => `line ${index}`).join("\n");
  const lines = diffText(before, before.replace("line 10", "changed"));
  expect(lines.map(({ kind }) => kind)).toEqual([
    "skipped",
    ...["same", "same", "same"],
    "removed",
    "added",
    ...["same", "same", "same"],
    "skipped",
  ]);
  expect(diffText("", "a\nb\n").map(({ kind, text }) => `${kind} ${text}`)).toEqual(["added a", "added b"]);
});
