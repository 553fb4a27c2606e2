import { existsSync, readFileSync, watch } from "node:fs";
import { join } from "node:path";

/**
 * Reports what is said in a conversation of the local backend from now on, a line a message such as `assistant: pong`.
 * Returns a function that stops it.
 */
export function followConversation(folder: string, report: (line: string) => void): () => void {
  const file = join(folder, "messages.jsonl");
  let seen = existsSync(file) ? readFileSync(file, "utf8").length : 0;
  const watcher = watch(folder, () => {
    if (!existsSync(file)) return;
    const text = readFileSync(file, "utf8");
    // A line that is still being written waits for the next change.
    const end = text.lastIndexOf("\n") + 1;
    if (end <= seen) return;
    const lines = text.slice(seen, end).split("\n");
    seen = end;
    for (const line of lines) {
      const said = describeEntry(line);
      if (said !== null) report(said);
    }
  });
  return () => watcher.close();
}

/** Reads one line of `messages.jsonl`; `null` for what is not a message with text. */
export function describeEntry(line: string): string | null {
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch {
    return null;
  }
  const message = member(entry, "message");
  const role = member(message, "role");
  const content = member(message, "content");
  if (role !== "user" && role !== "assistant") return null;
  const parts = typeof content === "string" ? [content] : Array.isArray(content) ? content.map(textOf) : [];
  const text = parts.join("").trim();
  return text === "" ? null : `${role}: ${text}`;
}

function textOf(part: unknown): string {
  const text = member(part, "text");
  if (member(part, "type") !== "text" || typeof text !== "string") return "";
  // The device puts what it tells the agent about itself in front of the first message.
  return text.replaceAll(/<system-reminder>.*?<\/system-reminder>/gs, "");
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}
