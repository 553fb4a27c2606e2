/** Differences between two texts, line by line, with some lines around each change. */
import { diffLines } from "diff";

/** A line of a difference. */
export interface DiffLine {
  readonly kind: "same" | "added" | "removed" | "skipped";
  readonly text: string;
}

/** Lines without a change that are shown around each change. */
const contextLines = 3;
/** Texts with more lines are shown whole: the time for their difference grows with the square. */
const maxLines = 4_000;

/** Returns the lines of the difference. */
export function diffText(before: string, after: string): readonly DiffLine[] {
  if (before === "") return linesOf(after).map((text) => ({ kind: "added", text }));
  if (linesOf(before).length + linesOf(after).length > maxLines) {
    return [
      ...linesOf(before).map((text): DiffLine => ({ kind: "removed", text })),
      ...linesOf(after).map((text): DiffLine => ({ kind: "added", text })),
    ];
  }
  const lines = diffLines(before, after).flatMap(({ value, added, removed }) =>
    linesOf(value).map((text): DiffLine => ({ kind: added ? "added" : removed ? "removed" : "same", text })),
  );
  return withoutDistant(lines);
}

function withoutDistant(lines: readonly DiffLine[]): readonly DiffLine[] {
  const isNear = lines.map((_, index) =>
    lines.slice(Math.max(0, index - contextLines), index + contextLines + 1).some(({ kind }) => kind !== "same"),
  );
  const shown: DiffLine[] = [];
  for (const [index, line] of lines.entries()) {
    if (isNear[index] === true) shown.push(line);
    else if (shown.at(-1)?.kind !== "skipped") shown.push({ kind: "skipped", text: "" });
  }
  return shown;
}

function linesOf(text: string): readonly string[] {
  const lines = text.split("\n");
  return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
}
