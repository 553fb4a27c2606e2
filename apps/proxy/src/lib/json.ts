/** Reads JSON from outside without exceptions. Malformed text is never quoted in an error. */
import { isNestedDeeply, maxJsonDepth } from "@letta-environments/schema";

export type JsonObject = Readonly<Record<string, unknown>>;

/** Returns whether a value is an object and not an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/** A response wraps what an accepted request or frame contains, and then still has to be read. */
const maxDepth = 2 * maxJsonDepth;

/**
 * Parses JSON in UTF-8; `undefined` when it is malformed or nests more than 128 levels, which would take too much time. The parser's error quotes its
 * input, so it is dropped.
 */
export function parseJson(text: string | Uint8Array): unknown {
  return readText(text, parseShallow);
}

function parseShallow(text: string): unknown {
  return isNestedDeeply(text, maxDepth) ? undefined : JSON.parse(text);
}

/** Applies `read` to a text in UTF-8; `undefined` when the text is malformed, or `read` throws. */
export function readText<Value>(text: string | Uint8Array, read: (text: string) => Value): Value | undefined {
  try {
    return read(typeof text === "string" ? text : decoder.decode(text));
  } catch {
    return undefined;
  }
}

/** Parses a body as a JSON object in UTF-8; `null` when it is anything else. */
export function parseJsonObject(body: Uint8Array | string | null): JsonObject | null {
  const value = parseJson(body ?? "");
  return isJsonObject(value) ? value : null;
}
