import { printable } from "./printable.ts";

/** A line of columns separated by tabs; tabs and line ends inside a column are escaped, so that a line stays a line. */
export function formatColumns(columns: readonly string[]): string {
  return `${columns.map(printable).join("\t")}\n`;
}
