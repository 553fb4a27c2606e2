/** Differences between two texts, line by line, with some lines around each change. */

/** A line of a difference. */
export interface DiffLine {
  readonly kind: "same" | "added" | "removed" | "skipped";
  readonly text: string;
}

/** Lines without a change that are shown around each change. */
const contextLines = 3;
/** Texts with more lines are shown whole, because computing the difference takes quadratic time. */
const maxLines = 4_000;

/** A line as it is shown. */
export interface ShownLine extends DiffLine {
  /** The number of empty lines that it represents; 0 for a line with text. */
  readonly empty: number;
}

/** More empty lines than these are shown as their number: they would move what follows them out of view. */
const maxEmpty = 2;

/** Returns the lines of a text as they are shown. */
export function linesToShow(text: string): readonly ShownLine[] {
  return foldEmpty(shown("same", text.split("\n")));
}

/** Replaces each run of empty lines of one kind with one line. */
export function foldEmpty(lines: readonly DiffLine[]): readonly ShownLine[] {
  const folded: ShownLine[] = [];
  for (let start = 0, end = 0; start < lines.length; start = end) {
    const { kind } = lines[start] ?? { kind: "same" };
    while (lines[end]?.kind === kind && isEmpty(lines[end])) end += 1;
    const empty = end - start;
    if (empty > maxEmpty) folded.push({ kind, text: "", empty });
    else {
      end = Math.max(end, start + 1);
      folded.push(...lines.slice(start, end).map((line) => ({ ...line, empty: 0 })));
    }
  }
  return folded;
}

function isEmpty(line: DiffLine | undefined): boolean {
  return line?.text.trim() === "";
}

/** Returns the lines of the difference. */
export function diffText(before: string, after: string): readonly DiffLine[] {
  const [old, next] = [linesOf(before), linesOf(after)];
  if (old.length === 0) return shown("added", next);
  if (old.length + next.length > maxLines) return [...shown("removed", old), ...shown("added", next)];
  return withoutDistant(compare(old, next));
}

/** Compares by a longest common subsequence of the lines between the common beginning and end of both texts. */
function compare(old: readonly string[], next: readonly string[]): readonly DiffLine[] {
  const most = Math.min(old.length, next.length);
  let start = 0;
  while (start < most && old[start] === next[start]) start += 1;
  let end = 0;
  while (end < most - start && old.at(-1 - end) === next.at(-1 - end)) end += 1;
  const removed = old.slice(start, old.length - end);
  const added = next.slice(start, next.length - end);
  return [
    ...shown("same", old.slice(0, start)),
    ...compareMiddle(removed, added),
    ...shown("same", old.slice(old.length - end)),
  ];
}

function compareMiddle(old: readonly string[], next: readonly string[]): readonly DiffLine[] {
  const width = next.length + 1;
  // The number of common lines from a line of each text onwards. It fits, because texts have at most `maxLines` lines.
  const common = new Uint16Array((old.length + 1) * width);
  const at = (row: number, column: number): number => common[row * width + column] ?? 0;
  for (let row = old.length - 1; row >= 0; row -= 1)
    for (let column = next.length - 1; column >= 0; column -= 1)
      common[row * width + column] =
        old[row] === next[column] ? at(row + 1, column + 1) + 1 : Math.max(at(row + 1, column), at(row, column + 1));
  const lines: DiffLine[] = [];
  for (let row = 0, column = 0; row < old.length || column < next.length;) {
    if (row < old.length && column < next.length && old[row] === next[column]) {
      lines.push(...shown("same", [old[row] ?? ""]));
      row += 1;
      column += 1;
    } else if (row < old.length && (column === next.length || at(row + 1, column) >= at(row, column + 1))) {
      lines.push(...shown("removed", [old[row] ?? ""]));
      row += 1;
    } else {
      lines.push(...shown("added", [next[column] ?? ""]));
      column += 1;
    }
  }
  return lines;
}

function shown(kind: DiffLine["kind"], lines: readonly string[]): readonly DiffLine[] {
  return lines.map((line) => ({ kind, text: line.replace(/\n$/, "") }));
}

function withoutDistant(lines: readonly DiffLine[]): readonly DiffLine[] {
  const isNear = lines.map((_, index) =>
    lines.slice(Math.max(0, index - contextLines), index + contextLines + 1).some(({ kind }) => kind !== "same"),
  );
  const near: DiffLine[] = [];
  for (const [index, line] of lines.entries()) {
    if (isNear[index] === true) near.push(line);
    else if (near.at(-1)?.kind !== "skipped") near.push({ kind: "skipped", text: "" });
  }
  return near;
}

/** Lines with their ends, so that a missing end is a difference. */
function linesOf(text: string): readonly string[] {
  return text === "" ? [] : text.split(/(?<=\n)/);
}
