import { displayWidth, truncate } from "./display-width.ts";
import { printable } from "./printable.ts";
import type { Paint, Style } from "./style.ts";

/** A cell: its text as the server gave it, and how it looks. */
export interface Cell {
  readonly text: string;
  readonly style: Style | null;
}

/** A column of a table. */
export interface Column {
  readonly title: string;
  /** Whether its cells may be cut short to fit the terminal. */
  readonly shrinks: boolean;
}

const gap = 2;
const leastWidth = 8;

/** Rows as a table for people, aligned by cells of the terminal and never wider than `width` (`null`: as wide as it is). */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  width: number | null,
  paint: Paint,
): string {
  const header = columns.map(({ title }): Cell => ({ text: title, style: "bold" }));
  const lines = [header, ...rows].map((row) => row.map((cell) => ({ ...cell, text: printable(cell.text) })));
  const natural = columns.map((_, index) => Math.max(...lines.map((row) => displayWidth(row[index]?.text ?? ""))));
  const widths = fit(columns, natural, width ?? Number.POSITIVE_INFINITY);
  return lines.map((row) => `${formatLine(row, widths, paint)}\n`).join("");
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

/** Widths of the columns that are shown: those that shrink give way first, the widest before others, then the last. */
function fit(columns: readonly Column[], natural: readonly number[], width: number): number[] {
  const widths = [...natural];
  const total = (): number => widths.reduce((sum, each) => sum + each, gap * (widths.length - 1));
  while (total() > width) {
    const candidates = widths.map((each, index) => (columns[index]?.shrinks === true && each > leastWidth ? each : 0));
    const widest = Math.max(...candidates);
    if (widest === 0) break;
    widths[candidates.indexOf(widest)] = widest - 1;
  }
  while (total() > width && widths.length > 0) {
    const surplus = total() - width;
    const last = widths.pop() ?? 0;
    // A sliver of a column tells nothing; the first one is all there is.
    if (last - surplus >= (widths.length === 0 ? 1 : leastWidth)) widths.push(last - surplus);
  }
  return widths;
}
