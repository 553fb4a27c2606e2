/**
 * Prints a turn while it runs: texts of the agent on standard output, everything else as lines on standard error, or everything as JSON,
 * one document per line.
 */
import {
  createPrintableStream,
  formatJson,
  indent,
  printable,
  type Style,
  truncate,
} from "@letta-environments/command-line";
import type { CommandContext } from "../context.ts";
import type { Piece } from "./delta.ts";

/** Prints what happens in one turn. */
export interface TurnPrinter {
  /** Prints a document in JSON, and nothing for people. Resolves with false when the reader has gone away. */
  document(value: object): Promise<boolean>;
  /** Prints a piece for people. Resolves with false when the reader has gone away. */
  piece(piece: Piece): Promise<boolean>;
  /** Prints a line about the turn for people. */
  line(text: string, style?: Style): Promise<void>;
  /** Prints a line with texts of a device in such a way that, on a terminal, no part of it looks like another line. */
  detail(text: string, style?: Style): Promise<void>;
  /** Begins a line on a terminal for a question, which may have texts of a device, too. */
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
  const reply = createPrintableStream();
  let isLineOpen = false;

  async function writeText(text: string): Promise<boolean> {
    if (text === "") return true;
    isLineOpen = !text.endsWith("\n");
    return stdout.write(text);
  }

  async function endLine(): Promise<void> {
    await writeText(reply.end());
    if (isLineOpen) await stdout.write("\n");
    isLineOpen = false;
  }

  /** @param text as it is printed */
  async function writeLine(text: string, style: Style | null): Promise<boolean> {
    // On a terminal both outputs are the same.
    if (stdout.isTerminal && stderr.isTerminal) await endLine();
    await stderr.write(`${paint(text, style)}\n`);
    return true;
  }

  /** Breaks a text to the width of the terminal. */
  const indented = (text: string): string => indent(printable(text), stderr.isTerminal ? stderr.columns() : null);

  /** Cuts a text to the width of the terminal. */
  function oneLine(text: string): string {
    return stderr.isTerminal ? truncate(printable(text), stderr.columns() ?? 80) : printable(text);
  }

  return {
    document: async (value) => !isJson || stdout.write(formatJson(value, 0)),
    async piece(piece) {
      if (isJson) return true;
      switch (piece.kind) {
        case "text": {
          if (messageId !== piece.id) await endLine();
          messageId = piece.id;
          return writeText(reply.write(piece.text));
        }
        case "tool":
          return writeLine(oneLine(`> ${piece.tool}${piece.input === "" ? "" : `: ${piece.input}`}`), "dim");
        case "tool_failed":
          return writeLine(printable(`> ${piece.tool} failed`), "yellow");
        case "error":
          return writeLine(printable(`error: ${piece.text}`), "red");
        case "notice":
          return writeLine(printable(piece.text), "yellow");
      }
    },
    async line(text, style) {
      if (!isJson) await writeLine(printable(text), style ?? null);
    },
    async detail(text, style) {
      if (!isJson) await writeLine(indented(text), style ?? null);
    },
    async question(text) {
      if (stdout.isTerminal) await endLine();
      await stderr.write(`${paint(indented(text), "bold")} `);
    },
    async end() {
      if (!isJson) await endLine();
    },
  };
}
