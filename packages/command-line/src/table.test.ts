import { describe, expect, test } from "vitest";
import { displayWidth } from "./display-width.ts";
import { type Column, formatDetails, formatTable } from "./table.ts";
import { choosePaint } from "./style.ts";

const plain = choosePaint(false, () => undefined);
const columns: readonly Column[] = [
  { title: "NAME", shrinks: true },
  { title: "ID", shrinks: false },
  { title: "PLACE", shrinks: true },
];
const row = (...texts: string[]) => texts.map((text) => ({ text, style: null }));

function lines(rows: string[][], width: number | null): string[] {
  return formatTable(
    columns,
    rows.map((texts) => row(...texts)),
    width,
    plain,
  )
    .trimEnd()
    .split("\n");
}

test("columns are aligned by cells of the terminal, not by characters", () => {
  expect(
    lines(
      [
        ["日本語", "d1", "x"],
        ["laptop👩‍💻", "d2", "y"],
      ],
      null,
    ),
  ).toEqual(["NAME      ID  PLACE", "日本語    d1  x", "laptop👩‍💻  d2  y"]);
});

test("no line is wider than the terminal, at any width", () => {
  const rows = [
    ["a very long name of a device", "device-0123456789", "/home/somebody/with/a/long/path"],
    ["日本語日本語日本語日本語", "device-2", "/"],
  ];
  for (let width = 1; width <= 100; width += 1) {
    for (const line of lines(rows, width)) expect(displayWidth(line)).toBeLessThanOrEqual(width);
  }
});

test("shrinkable columns are shortened first, and a column that becomes too narrow is left out", () => {
  const rows = [["a very long name", "device-0123456789", "/home/somebody"]];
  expect(lines(rows, 43)[1]).toBe("a very lon…  device-0123456789  /home/some…");
  expect(lines(rows, 36)[1]).toBe("a very …  device-0123456789");
  expect(lines(rows, 5)[1]).toBe("a ve…");
});

test("a name cannot control the terminal or break its line", () => {
  expect(lines([["\u001b[31mred\n", "d", ""]], null)[1]).toBe("\\u001b[31mred\\u000a  d");
});

describe("colours in tables", () => {
  const coloured = (isTerminal: boolean, variables: Record<string, string>) =>
    choosePaint(isTerminal, (name) => variables[name])("x", "green") !== "x";

  test("colours are for terminals that support them, without NO_COLOR", () => {
    expect(coloured(true, {})).toBe(true);
    expect(coloured(true, { NO_COLOR: "" })).toBe(true);
    expect(coloured(false, {})).toBe(false);
    expect(coloured(true, { NO_COLOR: "1" })).toBe(false);
    expect(coloured(true, { TERM: "dumb" })).toBe(false);
  });
});

test("a table whose columns must not be shortened becomes a list of blocks on a narrow terminal", () => {
  const wide = [
    { title: "ID", shrinks: false },
    { title: "LAST USED", shrinks: false },
  ] as const;
  const rows = [row("0123456789", "2027-01-15"), row("9876543210", "")];
  expect(formatTable(wide, rows, 22, plain, "list")).toBe(
    "ID          LAST USED\n0123456789  2027-01-15\n9876543210\n",
  );
  expect(formatTable(wide, rows, 21, plain, "list")).toBe(
    "Id         0123456789\nLast used  2027-01-15\n\nId  9876543210\n",
  );
});

test("details are aligned, leave out empty values, and break long values between words", () => {
  const rows = [
    ["Name", { text: "laptop", style: null }],
    ["Owner", { text: "", style: null }],
    ["Scopes", { text: "list, read, send", style: null }],
  ] as const;
  expect(formatDetails(rows, null, plain)).toBe("Name    laptop\nScopes  list, read, send\n");
  expect(formatDetails(rows, 19, plain)).toBe("Name    laptop\nScopes  list, read,\n        send\n");
});
