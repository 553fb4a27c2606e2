import { printable } from "./printable.ts";

/** A value as one JSON document, indented or in a line; what could steer a terminal is escaped, so that it stays harmless. */
export function formatJson(value: unknown, indentation: 0 | 2 = 2): string {
  const lines = JSON.stringify(value, null, indentation).split("\n");
  return `${lines.map(printable).join("\n")}\n`;
}
