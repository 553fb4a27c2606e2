import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** The agent that every launched device has from the start. */
export const demoAgentId = "agent-local-demo";

/**
 * Puts an agent with a known id into the store of Letta Code's local backend, so that a device can be messaged before anybody
 * has created an agent on it. What is there already is left alone.
 */
export async function seedLocalAgent(home: string, agentId: string = demoAgentId): Promise<void> {
  const store = join(home, ".letta", "lc-local-backend");
  const now = new Date().toISOString();
  await writeOnce(join(store, "agents"), `${encodeName(agentId)}.json`, { id: agentId, name: "Demo" });
  const conversation = conversationFolder(home, agentId);
  await writeOnce(conversation, "conversation.json", {
    id: "default",
    agent_id: agentId,
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

/** Folder in which the local backend keeps an agent's default conversation; `messages.jsonl` in it grows with each message. */
export function conversationFolder(home: string, agentId: string = demoAgentId): string {
  return join(home, ".letta", "lc-local-backend", "conversations", encodeName(`default:${agentId}`));
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
