/**
 * Sends one task to every online device with a tag, and prints how each turn ended:
 *
 *     LETTA_BASE_URL=http://127.0.0.1:8787 LETTA_API_KEY=lek_... node send-to-tag.ts TAG AGENT_ID "Run the tests."
 *
 * The id of each message follows from the task and the device, so running the same command again within 24 hours sends nothing twice.
 */
import { createHash } from "node:crypto";
import process from "node:process";
import { createClient, isLettaEnvironmentsError } from "@letta-environments/client";

const [tag, agentId, task] = process.argv.slice(2);
const { LETTA_BASE_URL: baseUrl, LETTA_API_KEY: apiKey } = process.env;
if (!tag || !agentId || !task || !baseUrl || !apiKey) {
  process.stderr.write("usage: LETTA_BASE_URL=... LETTA_API_KEY=... node send-to-tag.ts TAG AGENT_ID TASK\n");
  process.exit(2);
}

const { environments } = createClient({ baseUrl, apiKey });

async function send(content: string, deviceId: string): Promise<string> {
  const id = createHash("sha256")
    .update(JSON.stringify([tag, agentId, content, deviceId]))
    .digest("hex");
  const message = { role: "user", content, client_message_id: id } as const;
  try {
    const { turn } = await environments.sendToDevice(
      { deviceId },
      { messages: [message], agentId },
      { wait: "finished" },
    );
    return `${turn.outcome}\t${turn.reply ?? turn.status.error ?? ""}`;
  } catch (error) {
    if (!isLettaEnvironmentsError(error)) throw error;
    return `${error.outcome === "unknown" ? "unknown" : "not sent"}\t${error.code}: ${error.message}`;
  }
}

const devices = new Set<string>();
for await (const { deviceId } of environments.listAll({ onlineOnly: true, tag })) devices.add(deviceId);
const results = await Promise.all(
  Array.from(devices, async (deviceId) => `${deviceId}\t${await send(task, deviceId)}`),
);
for (const result of results) process.stdout.write(`${result}\n`);
process.exitCode = results.every((result) => result.split("\t")[1] === "finished") ? 0 : 1;
