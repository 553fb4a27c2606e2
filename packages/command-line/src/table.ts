/**
 * Tables and lists for people. A table is never wider than the terminal and never breaks a cell across lines: cells that may be shortened get an
 * ellipsis, and if that is not allowed, the table becomes a list with a block of lines for each row.
 */
import { displayWidth, truncate, wrap } from "./display-width.ts";
import { printable } from "./printable.ts";
import type { Paint, Style } from "./style.ts";

/** A cell: its text as it was received, and how it looks. */
export interface Cell {
  readonly text: string;
  readonly style: Style | null;
}

/** Returns a cell without a style. */
export function plain(text: string | null | undefined): Cell {
  return { text: text ?? "", style: null };
}

/** A column of a table. */
export interface Column {
  readonly title: string;
  /** Whether its cells may be shortened to fit the terminal. */
  readonly shrinks: boolean;
}

/** A table that is still too wide after shortening drops its last columns, or becomes a list. */
type Overflow = "drop" | "list";

const gap = 2;
const minWidth = 8;

/** Formats rows as a table, aligned by cells of the terminal. @param width columns of the terminal; `null`: no limit */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  width: number | null,
  paint: Paint,
  overflow: Overflow = "drop",
): string {
  const header = columns.map(({ title }): Cell => ({ text: title, style: "bold" }));
  const lines = [header, ...rows].map((row) => row.map((cell) => ({ ...cell, text: printable(cell.text) })));
  const natural = columns.map((_, index) => Math.max(...lines.map((row) => displayWidth(row[index]?.text ?? ""))));
  const limit = width ?? Number.POSITIVE_INFINITY;
  const shortened = shorten(columns, natural, limit);
  if (overflow === "list" && totalWidth(shortened) > limit) {
    const titles = columns.map(({ title }) => title.charAt(0) + title.slice(1).toLowerCase());
    return rows
      .map((row) =>
        formatDetails(
          row.map((cell, index) => [titles[index] ?? "", cell]),
          width,
          paint,
        ),
      )
      .join("\n");
  }
  const widths = drop(shortened, limit);
  return lines.map((row) => `${formatLine(row, widths, paint)}\n`).join("");
}

/**
 * Formats one thing as lines of a label and a value; empty values are left out. A value that is too wide continues on the next line, broken between
 * words.
 */
export function formatDetails(
  rows: readonly (readonly [label: string, cell: Cell])[],
  width: number | null,
  paint: Paint,
): string {
  const shown = rows.filter(([, { text }]) => text !== "");
  const labelWidth = Math.max(0, ...shown.map(([label]) => displayWidth(label)));
  const valueWidth = Math.max(minWidth, (width ?? Number.POSITIVE_INFINITY) - labelWidth - gap);
  const indentation = " ".repeat(labelWidth + gap);
  return shown
    .map(([label, { text, style }]) => {
      const lines = wrap(printable(text), valueWidth).map((line) => paint(line, style));
      return `${paint(label.padEnd(labelWidth), "bold")}${" ".repeat(gap)}${lines.join(`\n${indentation}`)}\n`;
    })
    .join("");
}

function formatLine(row: readonly Cell[], widths: readonly number[], paint: Paint): string {
  const shown = row.slice(0, widths.length).map(({ text, style }, index) => {
    const cut = truncate(text, widths[index] ?? 0);
    return { cut, style, padding: (widths[index] ?? 0) - displayWidth(cut) };
  });
  const last = shown.findLastIndex(({ cut }) => cut !== "");
  return shown
    .slice(0, last + 1)
    .map(({ cut, style, padding }, index) => paint(cut, style) + " ".repeat(index === last ? 0 : padding + gap))
    .join("");
}

function totalWidth(widths: readonly number[]): number {
  return widths.reduce((sum, each) => sum + each, gap * (widths.length - 1));
}

/** Shortens the columns that may shrink, the widest before others, until the table fits or none of them can give more. */
function shorten(columns: readonly Column[], natural: readonly number[], limit: number): number[] {
  const widths = [...natural];
  while (totalWidth(widths) > limit) {
    const candidates = widths.map((each, index) => (columns[index]?.shrinks === true && each > minWidth ? each : 0));
    const widest = Math.max(...candidates);
    if (widest === 0) break;
    widths[candidates.indexOf(widest)] = widest - 1;
  }
  return widths;
}

/** Drops the last columns until the table fits; the last remaining column gets the rest of the line. */
function drop(shortened: readonly number[], limit: number): number[] {
  const widths = [...shortened];
  while (totalWidth(widths) > limit && widths.length > 0) {
    const surplus = totalWidth(widths) - limit;
    const last = widths.pop() ?? 0;
    // Fewer than eight cells of a column are useless, except in the only column.
    if (last - surplus >= (widths.length === 0 ? 1 : minWidth)) widths.push(last - surplus);
  }
  return widths;
}
