/** A table as it is printed and as it is in the README. */
export interface Table {
  readonly caption: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Something that a benchmark must show; `shown` is the figure that decided. */
export interface Goal {
  readonly goal: string;
  readonly shown: string;
  readonly met: boolean;
}

/** The result of a benchmark. */
export interface BenchmarkResult {
  readonly tables: readonly Table[];
  readonly goals: readonly Goal[];
  /** A summary for the README of the repository. */
  readonly overview?: Table;
  /** Every figure, for other programs. */
  readonly data: unknown;
}

/** Tables and goals as Markdown. */
export function renderResult({ tables, goals }: Pick<BenchmarkResult, "tables" | "goals">): string {
  const verdicts = goals.map(({ goal, shown, met }) => `- ${met ? "met" : "**missed**"}: ${goal} (${shown})`);
  return [...tables.map(renderTable), ...(verdicts.length === 0 ? [] : [verdicts.join("\n")])].join("\n\n");
}

/** A table as Markdown. */
export function renderTable({ caption, columns, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const rule = columns.map((_, index) => (index === 0 ? "---" : "---:"));
  return [wrap(caption), "", line(columns), line(rule), ...rows.map(line)].join("\n");
}

/** Breaks a paragraph into lines of at most 160 characters, the limit for Markdown in this repository. */
export function wrap(paragraph: string): string {
  return paragraph.replaceAll(/(?=.{161})(.{1,160})\s/g, "$1\n");
}
