/**
 * `node scripts/terminal-picture.mjs [--write]`: runs the gateway, a real device and `letta-env`, and renders what they print as
 * docs/images/first-minutes.svg. Ids, keys, times and paths are replaced by fixed ones, so the picture changes only when the
 * output does. Without `--write` it fails if the picture is stale.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { repositoryRoot } from "./lib/repository.mjs";
import { renderTerminal } from "./lib/terminal/svg.mjs";

const picture = join(repositoryRoot, "docs/images/first-minutes.svg");
const columns = 112;
const title = "The gateway starts, a device connects, and letta-env lists it and sends it a message";
/** How long each program may take, in milliseconds. */
const timeoutMs = 30_000;

const folder = mkdtempSync(join(tmpdir(), "letta-picture-"));
const home = join(folder, "device");
const terminal = `--import=${join(repositoryRoot, "scripts/lib/terminal/pretend.mjs")} --disable-warning=ExperimentalWarning`;
/** @type {import("node:child_process").ChildProcess[]} */
const children = [];

/**
 * Starts a script. The returned function waits until its output matches, and resolves with that output.
 *
 * @param {string[]} words @param {Record<string, string>} env
 */
function start(words, env = {}) {
  const child = spawn(process.execPath, words, {
    cwd: repositoryRoot,
    env: { PATH: process.env.PATH, HOME: folder, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (output += text));
  return async (/** @type {RegExp} */ wanted) => {
    const signal = AbortSignal.timeout(timeoutMs);
    while (!wanted.test(output)) await once(child.stdout, "data", { signal });
    return output;
  };
}

/** Runs `letta-env` as on a terminal. @param {string[]} args @param {Record<string, string>} env */
async function lettaEnv(args, env) {
  const { stdout } = await promisify(execFile)(process.execPath, ["scripts/letta-env.mjs", ...args], {
    cwd: repositoryRoot,
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      NODE_OPTIONS: terminal,
      PRETEND_COLUMNS: "200",
      TERM: "xterm",
      ...env,
    },
    timeout: timeoutMs,
  });
  return stdout.trimEnd();
}

/** Runs the session and returns the lines of the terminal. */
async function record() {
  const gateway = start([
    "apps/proxy/src/runtimes/node.ts",
    "start",
    "--port",
    "0",
    "--data-dir",
    join(folder, "data"),
  ]);
  const started = await gateway(/Send a message to the device[^]*\n\n/);
  const [, url = ""] = /Listening on (\S+)/.exec(started) ?? [];
  const [clientKey = "", deviceKey = ""] = started.match(/lek_\w+/g) ?? [];
  const env = { LETTA_BASE_URL: url, LETTA_API_KEY: clientKey };
  const device = start(["scripts/device.mjs", "--home", home], { LETTA_BASE_URL: url, LETTA_API_KEY: deviceKey });
  const connected = await device(/Connected as demo.*\n/);
  const list = await lettaEnv(["list"], env);
  const send = await lettaEnv(["send", "demo", "--agent", "agent-local-demo", "Run the tests."], env);
  const replied = (await device(/assistant: .*\n/)).slice(connected.length);
  const [listening = ""] = started.split("\n");
  const keys = started.split("\n").filter((line) => /^ {2}for /.test(line));
  const text = [
    prompt("npx -y pnpm@12.21.0 start"),
    listening.replace(/^[\d:]+ /, ""),
    ...keys,
    "",
    comment("# in a second terminal"),
    prompt("LETTA_API_KEY=lek_DEVICE_KEY node scripts/device.mjs"),
    // Printed only on a slow machine.
    connected.replace(/^Not connected yet.*\n/m, "").trimEnd(),
    "",
    comment("# in a third terminal"),
    prompt("export LETTA_BASE_URL=http://127.0.0.1:8787 LETTA_API_KEY=lek_CLIENT_KEY"),
    prompt("node scripts/letta-env.mjs list"),
    list,
    prompt('node scripts/letta-env.mjs send demo --agent agent-local-demo "Run the tests."'),
    send,
    "",
    comment("# the second terminal now shows"),
    replied.trimEnd(),
  ].join("\n");
  return text
    .replaceAll(url, "http://127.0.0.1:8787")
    .replaceAll(clientKey, "lek_CLIENT_KEY")
    .replaceAll(deviceKey, "lek_DEVICE_KEY")
    .replaceAll(home, ".data/device")
    .replace(/(?<=demo {2})[0-9a-f-]{36}/, "88fd30f6-6337-4c38-b858-2f1581703994")
    .replace(/(?<=Message id: )[0-9a-f-]{36}/, "70efe8cc-7c66-4b71-8052-5297a317f6cf")
    .replace(/(?<=online\S* +)\d+s ago */, (age) => "now".padEnd(age.length))
    .split("\n")
    .map((line) => line.trimEnd());
}

/** @param {string} command */
function prompt(command) {
  return `\u001b[36m$\u001b[39m ${command}`;
}

/** @param {string} text */
function comment(text) {
  return `\u001b[2m${text}\u001b[22m`;
}

try {
  const svg = renderTerminal(await record(), columns, title);
  if (process.argv.includes("--write")) {
    mkdirSync(dirname(picture), { recursive: true });
    writeFileSync(picture, svg);
  } else {
    const shown = existsSync(picture) ? readFileSync(picture, "utf8").split("\n") : [];
    const changed = svg.split("\n").find((line, index) => line !== shown[index]);
    if (changed !== undefined) {
      process.stderr.write("docs/images/first-minutes.svg is stale: run 'node scripts/terminal-picture.mjs --write'\n");
      process.stderr.write(`It lacks: ${changed.trim()}\n`);
      process.exitCode = 1;
    }
  }
} finally {
  const ends = children.filter(({ exitCode }) => exitCode === null).map((child) => once(child, "exit"));
  for (const child of children) child.kill("SIGTERM");
  await Promise.all(ends);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
