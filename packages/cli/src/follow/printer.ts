/**
 * Prints a turn while it runs: texts of the agent on standard output, everything else as lines on standard error, or everything as JSON, a
 * document a line.
 */
import { formatJson, printable, printableLines, type Style, truncate } from "@letta-environments/command-line";
import type { CommandContext } from "../context.ts";
import type { Piece } from "./delta.ts";

/** Prints what happens in one turn. */
export interface TurnPrinter {
  /** Prints a document in JSON, and nothing for people. Resolves with false when the reader has gone away. */
  document(value: object): Promise<boolean>;
  /** Prints a piece for people. */
  piece(piece: Piece): Promise<void>;
  /** Prints a line about the turn for people. */
  line(text: string, style?: Style): Promise<void>;
  /** Begins a line on a terminal for a question. */
  question(text: string): Promise<void>;
  /** Ends the text of the agent. */
  end(): Promise<void>;
}

/** Creates a {@link TurnPrinter}. @param paint colours of standard error */
export function createTurnPrinter(
  { host: { stdout, stderr }, isJson }: Pick<CommandContext, "host" | "isJson">,
  paint: CommandContext["paint"],
): TurnPrinter {
  let messageId: string | null = null;
  let isLineOpen = false;

  async function endLine(): Promise<void> {
    if (isLineOpen) await stdout.write("\n");
    isLineOpen = false;
  }

  async function writeLine(text: string, style: Style | null): Promise<void> {
    // On a terminal both outputs are one.
    if (stdout.isTerminal && stderr.isTerminal) await endLine();
    await stderr.write(`${paint(printable(text), style)}\n`);
  }

  /** Cuts a text to the width of the terminal. */
  function oneLine(text: string): string {
    return stderr.isTerminal ? truncate(printable(text), stderr.columns() ?? 80) : text;
  }

  return {
    document: async (value) => !isJson || stdout.write(formatJson(value, 0)),
    async piece(piece) {
      if (isJson) return;
      switch (piece.kind) {
        case "text": {
          if (messageId !== piece.id) await endLine();
          messageId = piece.id;
          const text = printableLines(piece.text);
          isLineOpen = !text.endsWith("\n");
          await stdout.write(text);
          return;
        }
        case "tool":
          return writeLine(oneLine(`> ${piece.tool}${piece.input === "" ? "" : `: ${piece.input}`}`), "dim");
        case "tool_failed":
          return writeLine(`> ${piece.tool} failed`, "yellow");
        case "error":
          return writeLine(`error: ${piece.text}`, "red");
        case "notice":
          return writeLine(piece.text, "yellow");
      }
    },
    async line(text, style) {
      if (!isJson) await writeLine(text, style ?? null);
    },
    async question(text) {
      if (stdout.isTerminal) await endLine();
      await stderr.write(`${paint(printable(text), "bold")} `);
    },
    async end() {
      if (!isJson) await endLine();
    },
  };
}
