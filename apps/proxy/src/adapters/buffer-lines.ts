/** Lines that come in one turn of the event loop leave in one write: a request costs no system call of its own. */
export function bufferLines(
  write: (text: string) => void,
  defer: (run: () => void) => unknown,
): {
  readonly write: (line: string) => void;
  /** Writes what waits, at once; for the end of the process. */
  readonly flush: () => void;
} {
  let waiting = "";

  function flush(): void {
    const text = waiting;
    waiting = "";
    if (text !== "") write(text);
  }

  return {
    write(line) {
      if (waiting === "") defer(flush);
      waiting += line;
    },
    flush,
  };
}
