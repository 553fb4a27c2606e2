/** Compares what a command prints with what a document shows: the words, without ids, times and widths. */

/** Replaces what differs from run to run, and spaces between columns. */
function normalise(line: string): string {
  return (
    line
      .replaceAll(/lek_\w+/g, "KEY")
      .replaceAll(/https?:\/\/[\w.:]+/g, "URL")
      .replaceAll(/\b[0-9a-f]{8}-[0-9a-f-]+…?/g, "UUID")
      .replaceAll(/\b[a-z]+-[0-9a-z]{2,26}(?:…|\.{3}|(?=\s|$))/g, (id) => (/\d/.test(id) ? "ID" : id))
      // A random id contains a digit or a capital after a small letter; words of a sentence do not.
      .replaceAll(/\b(?=\w*(?:\d|[a-z]\w*[A-Z]))[0-9A-Za-z]{12}\b/g, "KEY_ID")
      .replaceAll(/\d{4}-\d{2}-\d{2}(?:T[\d:.]+Z)?/g, "TIME")
      .replaceAll(/\b\d+s ago\b/g, "now")
      .replace(/^\d\d:\d\d:\d\d /, "")
      .replaceAll(/\s+/g, " ")
      .trim()
  );
}

/** The lines that a document shows and a program did not print, in order. A line `...` stands for any lines. */
export function missingLines(shown: string, printed: string): readonly string[] {
  const lines = printed.split("\n").map(normalise);
  let next = 0;
  return shown.split("\n").filter((line) => {
    const wanted = normalise(line);
    if (wanted === "" || wanted === "...") return false;
    const found = lines.indexOf(wanted, next);
    if (found === -1) return true;
    next = found + 1;
    return false;
  });
}
