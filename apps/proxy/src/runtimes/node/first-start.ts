/**
 * The text that `letta-proxy start` prints for people once the gateway listens: at the first start two new keys, the commands to run with them and a link to the console, later
 * how to list and create keys. Each command can be pasted into a shell in the repository.
 */
import process from "node:process";
import { systemClock } from "@letta-environments/platform/node";
import type { Scope } from "@letta-environments/schema";
import { formatConsoleLink, linkRequest } from "../../commands/console-link.ts";
import { createKey } from "../../keys/key-lifecycle.ts";
import { createLink } from "../../keys/sign-in.ts";
import type { KeyStoreFor, Pepper } from "../../ports.ts";
import { nodeKeyMint, type OpenKeys } from "./keys.ts";

/** A gateway that has just started. */
export interface StartedGateway {
  readonly url: string;
  /** Whether devices connect to it. */
  readonly servesDevices: boolean;
  readonly dataDir: string;
  /** Whether it serves the web console, or would if it was built. */
  readonly console: "served" | "not_built" | "off";
}

/** Prints the next steps. If there are no keys, it first creates one for clients and one for devices, and shows them, once. */
export async function printNextSteps(
  { keyStore, damagedIds, pepper }: OpenKeys,
  keyStoreFor: KeyStoreFor,
  gateway: StartedGateway,
): Promise<void> {
  if ((await keyStore.list()).length > 0 || damagedIds.size > 0) {
    process.stdout.write(laterStartText(gateway));
    return;
  }
  const create = async (name: string, scopes: readonly Scope[]): Promise<string> => {
    const request = { name, tenant: "default", scopes, deviceIds: null, shared: false, expiresAt: null };
    const { key, record } = createKey(request, systemClock.now(), nodeKeyMint(pepper));
    await keyStoreFor({ kind: "start" }).create(record);
    return key;
  };
  const clientKey = await create("first caller", ["list", "read", "send"]);
  const deviceKey = gateway.servesDevices ? await create("first device", ["connect"]) : null;
  const link = gateway.console === "served" ? await createConsoleLink(keyStoreFor, pepper) : null;
  process.stdout.write(firstStartText(gateway, clientKey, deviceKey, link));
}

/** Creates the key of a one-time link to the console, and returns its secret. */
async function createConsoleLink(keyStoreFor: KeyStoreFor, pepper: Pepper): Promise<string> {
  const { key, record } = createLink(linkRequest("default"), systemClock.now(), nodeKeyMint(pepper));
  await keyStoreFor({ kind: "start" }).create(record);
  return key;
}

// Without pnpm, which is not on the PATH of a user who started the gateway through npx.
const deviceCommand = "node scripts/device.mjs";
const clientCommand = "node scripts/letta-env.mjs";
const buildCommand = "npx -y pnpm@12.21.0 build";
const proxyCommand = "node scripts/letta-proxy.mjs";

/** The agent of a device that was started with `pnpm device`. */
const demoAgentId = "agent-local-demo";

function firstStartText(
  { url, console }: StartedGateway,
  clientKey: string,
  deviceKey: string | null,
  link: string | null,
): string {
  const withKey = (key: string, command: string): string => `  LETTA_BASE_URL=${url} LETTA_API_KEY=${key} ${command}`;
  return lines([
    "",
    "These keys are shown once; only their digests are stored.",
    `  for clients  ${clientKey}  (list, read, send)`,
    ...(deviceKey === null ? [] : [`  for devices  ${deviceKey}  (connect)`]),
    "",
    "Next, in another terminal, in this folder:",
    "",
    ...(deviceKey === null ? [] : ["Connect a device:", withKey(deviceKey, deviceCommand), ""]),
    "List the devices:",
    withKey(clientKey, `${clientCommand} list`),
    "",
    "Send a message to the device:",
    withKey(clientKey, `${clientCommand} send demo --agent ${demoAgentId} "ping"`),
    "",
    ...(link === null
      ? []
      : ["Open the console in a browser (once, within ten minutes):", `  ${formatConsoleLink(url, link)}`, ""]),
    ...buildHint(console),
  ]);
}

function laterStartText({ dataDir, console }: StartedGateway): string {
  const suffix = dataDir === ".data" ? "" : ` --data-dir ${quoted(dataDir)}`;
  return lines([
    "",
    "Keys were created before and are not shown again. In another terminal, in this folder:",
    "",
    "List the keys:",
    `  ${proxyCommand} keys list${suffix}`,
    "",
    "Create a key:",
    `  ${proxyCommand} keys create --name NAME --scope list --scope read --scope send${suffix}`,
    "",
    ...(console === "served"
      ? ["Sign in to the console in a browser:", `  ${proxyCommand} console link${suffix}`, ""]
      : []),
    ...buildHint(console),
  ]);
}

/** The sources run without being built, and the console does not. */
function buildHint(console: StartedGateway["console"]): readonly string[] {
  return console === "not_built" ? ["Build the web console, and start again:", `  ${buildCommand}`, ""] : [];
}

/** A word as a POSIX shell reads it. */
function quoted(word: string): string {
  return /^[\w./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function lines(texts: readonly string[]): string {
  return texts.map((text) => `${text}\n`).join("");
}
