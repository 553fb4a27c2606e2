/** Reading of untrusted members of a frame: types, lengths, and texts that are safe to store and to show. */
import type { Conversation } from "./conversation.ts";

/** A frame that is not understood. `rule` says what it breaks. */
export interface InvalidFrame {
  readonly kind: "invalid";
  readonly rule: string;
}

/** The members of an object. */
export type Members = Readonly<Record<string, unknown>>;

const maxErrorLength = 500;
const maxPathLength = 4_096;
const maxIdLength = 256;

/** Whether a value is an object, not an array. */
export function isMembers(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The members of a value; none when it is not an object. */
export function membersOf(value: unknown): Members {
  return isMembers(value) ? value : {};
}

/** Opening brackets in a row, at most. More of them take much time and memory to parse, and no device writes them. */
const longestRun = 31;
const quote = '"'.charCodeAt(0);
const backslash = "\\".charCodeAt(0);
const openingBrackets = ["[".charCodeAt(0), "{".charCodeAt(0)] as const;

/**
 * Whether a JSON text has 32 opening brackets in a row. Brackets in its strings do not count: any command or file may have them. The time is linear
 * whatever the text is; only one with such a run somewhere, in a string or not, is read character by character.
 */
export function isNestedDeeply(text: string): boolean {
  if (!hasLongRun(text)) return false;
  let isInString = false;
  let run = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (isInString) {
      if (code === backslash) index += 1;
      else if (code === quote) isInString = false;
      continue;
    }
    run = isOpeningBracket(code) ? run + 1 : 0;
    if (run > longestRun) return true;
    isInString = code === quote;
  }
  return false;
}

/** A run that is longer has a bracket at one of the places that are looked at. */
function hasLongRun(text: string): boolean {
  for (let index = longestRun; index < text.length; index += longestRun + 1) {
    let start = index;
    while (isOpeningBracket(text.charCodeAt(start))) start -= 1;
    if (start === index) continue;
    let end = index + 1;
    while (isOpeningBracket(text.charCodeAt(end))) end += 1;
    if (end - start - 1 > longestRun) return true;
  }
  return false;
}

function isOpeningBracket(code: number): boolean {
  return code === openingBrackets[0] || code === openingBrackets[1];
}

/** Reads the conversation of a frame. */
export function readRuntime(runtime: unknown): Conversation | InvalidFrame {
  const { agent_id: agentId, conversation_id: conversationId } = membersOf(runtime);
  if (typeof conversationId !== "string" || conversationId.length > maxIdLength) {
    return { kind: "invalid", rule: "runtime must have conversation_id" };
  }
  if (typeof agentId === "string" && agentId.length > maxIdLength) {
    return { kind: "invalid", rule: "agent_id is too long" };
  }
  return { agentId: typeof agentId === "string" ? agentId : "", conversationId };
}

/** Returns an id, or `null` for anything else. */
export function readId(value: unknown): string | null {
  return typeof value === "string" && value.length <= maxIdLength ? value : null;
}

/** Returns a path or the name of a branch, or `null` for anything else. */
export function readPath(value: unknown): string | null {
  return typeof value === "string" && value !== "" && value.length <= maxPathLength ? value : null;
}

/** Returns a lower-case word such as `end_turn`, or `null` for anything else. The longest one of 0.32.18 has 40 characters. */
export function readWord(value: unknown): string | null {
  return typeof value === "string" && /^[a-z_]{1,64}$/.test(value) ? value : null;
}

/** Returns a device's text as one short line without control characters and unpaired surrogates; `null` when nothing is left. */
export function readLine(value: unknown): string | null {
  if (typeof value !== "string") return null;
  const shown = value
    .slice(0, maxErrorLength)
    .replaceAll(/[\p{Cc}\p{Surrogate}]+/gu, " ")
    .trim();
  return shown === "" ? null : shown;
}

/** Returns a device's text without control characters other than tabs and line breaks, and without unpaired surrogates. */
export function cleanText(text: string): string {
  return text.replaceAll(/(?![\t\n])[\p{Cc}\p{Surrogate}]/gu, "");
}
