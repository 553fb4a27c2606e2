/** Reads the Markdown of the repository: sections, tables and fenced blocks. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** The root folder of the repository. */
export const repository: string = resolve(import.meta.dirname, "../../../..");

/** The text of a file, by its path in the repository. */
export function readDocument(path: string): string {
  return readFileSync(join(repository, path), "utf8");
}

/** The text below a heading of level two, up to the next one. */
export function sectionOf(text: string, heading: string): string {
  return text.split(/^## /m).find((section) => section.startsWith(`${heading}\n`)) ?? "";
}

/** The cells of each row of the tables in a text, without their heads. */
export function tableRows(text: string): readonly (readonly string[])[] {
  const lines = text.split("\n");
  return lines
    .filter(
      (line, index) => line.startsWith("|") && !line.startsWith("| -") && lines[index + 1]?.startsWith("| -") !== true,
    )
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

/** A fenced block. */
export interface Block {
  readonly language: string;
  readonly code: string;
  /** The line of its opening fence, from 1. */
  readonly line: number;
}

/** The fenced blocks of a text, in order. */
export function blocksOf(text: string): readonly Block[] {
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(({ 1: language = "", 2: code = "", index }) => ({
    language,
    code,
    line: text.slice(0, index).split("\n").length,
  }));
}
