/** Reads untrusted members of a frame: types, lengths, and texts that are safe to store and to show. */
import type { Conversation } from "./conversation.ts";

/** A frame that is not understood. `rule` is the broken rule. */
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

/** Parses the text of a JSON object. Returns the rule that any other text breaks. It never throws. */
export function parseObject(text: string): Members | "must be JSON" | "must be an object" {
  try {
    const value: unknown = JSON.parse(text);
    return isMembers(value) ? value : "must be an object";
  } catch {
    return "must be JSON";
  }
}

/** Like {@link parseObject}, with `null` for any other text. */
export function parseMembers(text: string): Members | null {
  const parsed = parseObject(text);
  return typeof parsed === "string" ? null : parsed;
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
