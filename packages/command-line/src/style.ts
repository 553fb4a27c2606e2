/** Colours on a terminal, and when to use none. Text from outside is made safe in `printable.ts`. */

/** How a piece of text looks on a terminal. */
export type Style = "bold" | "dim" | "green" | "red" | "yellow";

const codes: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  green: [32, 39],
  red: [31, 39],
  yellow: [33, 39],
};

/** Adds the control sequences of a style to a text (ECMA-48 SGR), or returns the text unchanged. */
export type Paint = (text: string, style: Style | null) => string;

/** The paint of an output: colours on a terminal that supports them, unless `NO_COLOR` is set (https://no-color.org). */
export function choosePaint(isTerminal: boolean, variable: (name: string) => string | undefined): Paint {
  const isPlain = !isTerminal || (variable("NO_COLOR") ?? "") !== "" || variable("TERM") === "dumb";
  return (text, style) => {
    if (isPlain || style === null || text === "") return text;
    const [on, off] = codes[style];
    return `\u001b[${on}m${text}\u001b[${off}m`;
  };
}
