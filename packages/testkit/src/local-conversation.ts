/**
 * The files in which a device's local backend keeps agents and conversations: one known agent that exists from the start, the
 * permission mode of its conversation, and the messages as they are written.
 */
import { existsSync, readFileSync, watch } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** The agent that every launched device has from the start. */
export const demoAgentId = "agent-local-demo";

/** Creates the demo agent in a device's home folder, so that it can receive messages immediately. Existing files are kept. */
export async function seedLocalAgent(home: string): Promise<void> {
  const now = new Date().toISOString();
  const agents = join(home, ".letta", "lc-local-backend", "agents");
  await writeOnce(agents, `${encodeName(demoAgentId)}.json`, { id: demoAgentId, name: "Demo" });
  const conversation = conversationFolder(home);
  await writeOnce(conversation, "conversation.json", {
    id: "default",
    agent_id: demoAgentId,
    archived: false,
    archived_at: null,
    created_at: now,
    updated_at: now,
    last_message_at: null,
    summary: null,
    in_context_message_ids: [],
  });
  await writeOnce(conversation, "manifest.json", {
    schema_version: 2,
    message_format: "pi-session-entry-jsonl",
    provider_stack: "pi-ai",
    created_at: now,
  });
}

/** Sets the permission mode in which a device runs the demo agent's conversation, such as `standard`. */
export async function setPermissionMode(home: string, mode: string): Promise<void> {
  const permissionModeMap = { [`agent:${demoAgentId}::conversation:default`]: { mode } };
  await writeOnce(join(home, ".letta"), "remote-settings.json", { cwdMap: {}, permissionModeMap });
}

/** Sets the identity of a device. Versions since 0.32 also take it from `LETTA_LISTENER_DEVICE_ID`. */
export async function setDeviceId(home: string, deviceId: string): Promise<void> {
  await writeOnce(join(home, ".letta"), "settings.json", { deviceId });
}

/** Folder of the demo agent's conversation. Its `messages.jsonl` grows with each message. */
export function conversationFolder(home: string): string {
  return join(home, ".letta", "lc-local-backend", "conversations", encodeName(`default:${demoAgentId}`));
}

/**
 * Reports new messages of a conversation, one line for each, such as `assistant: pong`. Returns a function that stops it.
 */
export function followConversation(folder: string, report: (line: string) => void): () => void {
  const file = join(folder, "messages.jsonl");
  let seen = existsSync(file) ? readFileSync(file, "utf8").length : 0;
  const watcher = watch(folder, () => {
    if (!existsSync(file)) return;
    const text = readFileSync(file, "utf8");
    // A line that is still being written is read with the next change.
    const end = text.lastIndexOf("\n") + 1;
    if (end <= seen) return;
    const lines = text.slice(seen, end).split("\n");
    seen = end;
    for (const line of lines) {
      const description = describeEntry(line);
      if (description !== null) report(description);
    }
  });
  return () => watcher.close();
}

/** Describes one line of `messages.jsonl`; `null` for anything but a message with text. */
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
  // The device adds facts about itself before the first message.
  return text.replaceAll(/<system-reminder>.*?<\/system-reminder>/gs, "");
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

function encodeName(name: string): string {
  return Buffer.from(name).toString("base64url");
}

async function writeOnce(folder: string, name: string, value: unknown): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, name), JSON.stringify(value), { flag: "wx" }).catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
  });
}
