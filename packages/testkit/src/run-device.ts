/** `pnpm device`: starts a real Letta Code device against a running proxy. */
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import process from "node:process";
import { parseArgs, stripVTControlCharacters } from "node:util";
import { connectedLine, deviceCommand } from "./device.ts";
import { conversationFolder, demoAgentId, followConversation, seedLocalAgent } from "./local-conversation.ts";

const defaultHome = resolve(import.meta.dirname, "../../../.data/device");

const usage = `Usage: pnpm device [--name NAME] [--home DIR] [--debug]

Starts a real Letta Code device that needs no model: its agent ${demoAgentId} replies "pong" to every message.

  LETTA_API_KEY   a gateway key with scope connect (required)
  LETTA_BASE_URL  address of the proxy (default http://127.0.0.1:8787)
  --name NAME     name of the device in lists (default demo)
  DEVICE_HOME     the same as --home
  --home DIR      keeps the device's identity and conversations (default .data/device)
  --debug         prints every frame
`;

const values = readOptions();
const apiKey = process.env["LETTA_API_KEY"];
if (values.help) {
  process.stdout.write(usage);
} else if (apiKey === undefined || apiKey === "") {
  process.stderr.write(`LETTA_API_KEY is missing: a gateway key with scope connect.\n\n${usage}`);
  process.exitCode = 2;
} else {
  process.exitCode = await runDevice(apiKey);
}

/** Reads the options; a mistake ends the process with a one-line message. */
function readOptions(): {
  readonly name: string;
  readonly home: string;
  readonly debug: boolean;
  readonly help: boolean;
} {
  try {
    return parseArgs({
      options: {
        name: { type: "string", default: "demo" },
        home: { type: "string", default: process.env["DEVICE_HOME"] ?? defaultHome },
        debug: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    // Node's text continues with advice about words that start with a dash.
    const [reason] = String(error instanceof Error ? error.message : error).split(/\.? To specify|\n/);
    process.stderr.write(`device: ${reason}; --help shows the options\n`);
    return process.exit(2);
  }
}

/** The variables of this process for the connection to the gateway: custom certificate authorities, and proxies. */
function networkEnvironment(): Readonly<Record<string, string>> {
  const isNetwork = (name: string): boolean =>
    name === "NODE_EXTRA_CA_CERTS" || /^(?:https?|all|no)_proxy$/i.test(name);
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value !== undefined && isNetwork(name) ? [[name, value] as const] : [],
    ),
  );
}

async function runDevice(key: string): Promise<number> {
  const home = resolve(values.home);
  const workingDirectory = join(home, "work");
  await mkdir(workingDirectory, { recursive: true });
  await seedLocalAgent(home);
  const baseUrl = process.env["LETTA_BASE_URL"] ?? "http://127.0.0.1:8787";
  process.stdout.write(`Connecting to ${baseUrl}\n`);
  const { command, args, cwd, env } = deviceCommand({
    baseUrl,
    apiKey: key,
    home,
    workingDirectory,
    connectionName: values.name,
  });
  const device = spawn(command, args, {
    cwd,
    env: { PATH: process.env["PATH"] ?? "", ...networkEnvironment(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let unread = "";
  let failure = "";
  // The program prints every frame. Without --debug only the important lines are shown.
  device.stdout.setEncoding("utf8").on("data", (text: string) => {
    if (values.debug) process.stdout.write(text);
    unread = (unread + text).slice(-4_000);
    if (!unread.includes(connectedLine)) return;
    unread = "";
    clearTimeout(hint);
    process.stdout.write(`Connected as ${values.name}. Agent ${demoAgentId} replies "pong" to every message.\n`);
  });
  device.stderr.setEncoding("utf8").on("data", (text: string) => {
    if (values.debug) process.stderr.write(text);
    failure = (failure + text).slice(-4_000);
  });
  const hint = setTimeout(() => {
    process.stdout.write("Not connected yet. Is the proxy running at this address? Use --debug to see every frame.\n");
  }, 5_000);
  const stopFollowing = followConversation(conversationFolder(home), (line) => process.stdout.write(`${line}\n`));
  // A signal may arrive more than once (from the terminal and from a package manager). Each one is passed on.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => device.kill(signal));
  return new Promise((done, fail) => {
    device.once("error", fail);
    device.once("exit", (code, signal) => {
      clearTimeout(hint);
      stopFollowing();
      if (code !== null && code !== 0) process.stderr.write(`${stripVTControlCharacters(failure).trim()}\n`);
      done(signal === null ? (code ?? 1) : 0);
    });
  });
}
