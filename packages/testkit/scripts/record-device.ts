/**
 * `node packages/testkit/scripts/record-device.ts SUBJECT`: records what the newest real device exchanges with the gateway, until Ctrl-C. Statuses keep the
 * members that recordings have, and paths of this machine are left out.
 */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { launchDevice } from "../src/device.ts";
import { demoAgentId } from "../src/local-conversation.ts";
import { launchProxy } from "../src/proxy.ts";
import type { Recording, RecordedFrame } from "../src/recordings.ts";
import { createRelay } from "../src/relay.ts";

/** Members of `device_status` that recordings have. Add one here when the server begins to use it. */
const statusMembers = new Set([
  ...["is_online", "is_processing", "current_permission_mode", "current_working_directory", "letta_code_version"],
  "pending_control_requests",
]);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "asks-permission": { type: "boolean", default: false },
    folder: { type: "string", default: resolve(import.meta.dirname, "../recordings") },
  },
});
const [subject] = positionals;
if (subject === undefined) throw new Error("name what is recorded, such as turn-fails");

let registration: Recording["registration"] = {};
const frames: RecordedFrame[] = [];
const gateway = await launchProxy();
const apiKey = await gateway.createKey({ scopes: ["connect", "list", "read", "send", "view", "approve", "control"] });
const relay = await createRelay(gateway.url, {
  onBody(path, body) {
    if (path.endsWith("/register")) registration = JSON.parse(body);
  },
  loses(frame) {
    frames.push(relay.fromDevice.frames.at(-1) === frame ? { fromDevice: frame } : { toDevice: frame });
    return false;
  },
});
const asksPermission = values["asks-permission"];
const names = { deviceId: "device-recorded", connectionName: "recorded" };
const device = await launchDevice({ baseUrl: relay.url, apiKey, asksPermission, ...names });
await gateway.process.waitForOutput(/"event":"device_connected"/);
process.stdout.write(`Recording until Ctrl-C. In another terminal, for example:
  export LETTA_BASE_URL=${gateway.url} LETTA_API_KEY=${apiKey}
  npx -y pnpm@12.21.0 letta-env send recorded hello --agent ${demoAgentId} --message-id m-1
`);
await once(process, "SIGINT");
const recorded = [...frames];
await device.stop();
await relay.close();
await gateway.stop();

const { lettaCodeVersion } = Object(registration["metadata"]) as { readonly lettaCodeVersion?: unknown };
const version = String(lettaCodeVersion);
const header = { version, recordedOn: new Date().toISOString().slice(0, 10), backend: "local", registration };
const file = join(values.folder, `${version}-${subject}.jsonl`);
const keep = (name: string, value: unknown): unknown => {
  // It has the path of the program.
  if (name === "self_update") return undefined;
  if (name !== "device_status") return value;
  return Object.fromEntries(Object.entries(Object(value)).filter(([member]) => statusMembers.has(member)));
};
const text = [header, ...recorded].map((line) => `${JSON.stringify(line, keep)}\n`).join("");
writeFileSync(file, text.replaceAll(/[^" ]*\/letta-device-\w{6}/g, ""));
process.stdout.write(`${file}: ${recorded.length} frames\n`);
