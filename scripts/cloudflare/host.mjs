/** The machine that a deployment runs on: wrangler, files that only their owner can read, and a local workerd for a rehearsal. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { repositoryRoot } from "../lib/repository.mjs";
import { runTasks } from "../lib/turbo.mjs";
import { ensureInstalled } from "../setup/installation.mjs";
import { ensureNode } from "../setup/supported-node.mjs";
import { DeployError } from "./options.mjs";
import { readTargets } from "./plan.mjs";

const app = join(repositoryRoot, "apps", "proxy");
const program = join(app, "node_modules", "wrangler", "bin", "wrangler.js");
/** No telemetry, no banner, no questions. */
const quiet = {
  DO_NOT_TRACK: "1",
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  CI: "true",
};

/** The host of this process. @returns {import("./deploy.mjs").Host} */
export function createHost() {
  let node = "";
  const runNode = (/** @type {readonly string[]} */ args, /** @type {NodeJS.ProcessEnv} */ env = {}) =>
    run(node, args, { ...process.env, ...quiet, ...env });
  return {
    environment: process.env,
    async prepare() {
      await ensureInstalled("full", async () => (node = await ensureNode()));
      node ||= await ensureNode();
      if (!existsSync(program))
        throw new DeployError("wrangler is not installed: run 'npx -y pnpm@12.21.0 install' first");
    },
    wrangler: (args) => runNode([program, ...args]),
    async build() {
      /** @type {Uint8Array[]} */
      const output = [];
      const code = await runTasks(
        ["build"],
        ["--filter=@letta-environments/proxy"],
        (chunk) => void output.push(chunk),
      );
      if (code !== 0) process.stderr.write(Buffer.concat(output));
      return code;
    },
    readState: async (name) => {
      const file = stateFile(name);
      try {
        return existsSync(file) ? JSON.parse(await readFile(file, "utf8")) : {};
      } catch {
        throw new DeployError(
          `${file} is not readable: repair it or restore it from a backup, because it has the pepper of your keys`,
        );
      }
    },
    writeState: (name, state) => writePrivate(stateFile(name), `${JSON.stringify(state, null, 2)}\n`),
    upload: (request) =>
      withSecrets(request.secrets, async (secrets, folder) => {
        const report = join(folder, "report.json");
        const args = [
          "deploy",
          "--config",
          configOf(request),
          "--name",
          request.name,
          "--var",
          `UPSTREAM_URL:${request.upstreamUrl}`,
          "--message",
          request.message,
          "--secrets-file",
          secrets,
        ];
        const result = await runNode([program, ...args, ...(request.isDryRun ? ["--dry-run"] : [])], {
          WRANGLER_OUTPUT_FILE_PATH: report,
        });
        return { ...result, targets: existsSync(report) ? readTargets(await readFile(report, "utf8")) : [] };
      }),
    runLocally: (request) => runLocally(request, node),
    request: async (url, path, key) => {
      const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
      const signal = AbortSignal.timeout(10_000);
      return fetch(url + path, { headers, redirect: "manual", signal }).then(
        ({ status }) => status,
        () => 0,
      );
    },
    createKey,
    createSecret: () => randomBytes(32).toString("hex"),
    pause: sleep,
    report: (line) => void process.stderr.write(`${line}\n`),
  };
}

/** Makes the first key with the operator's token. @type {import("./deploy.mjs").Host["createKey"]} */
async function createKey(url, adminToken) {
  const response = await fetch(`${url}/admin/v1/keys`, {
    method: "POST",
    headers: { authorization: `Bearer ${adminToken}`, "content-type": "application/json" },
    body: JSON.stringify({ name: "first", scopes: ["list", "read", "send"] }),
    redirect: "error",
    signal: AbortSignal.timeout(30_000),
  }).catch(() => null);
  if (response?.status !== 201) {
    const hint =
      response?.status === 401 ? "ADMIN_TOKEN is not the operator's token of this Worker" : "repeat the command";
    throw new DeployError(`the first key was not made (${response?.status ?? "no response"}): ${hint}`);
  }
  const { key, id } = /** @type {{ key: string, id: string }} */ (await response.json());
  return { key, id };
}

/** Returns the state file of a Worker, in a folder that git ignores. @param {string} name */
function stateFile(name) {
  return join(repositoryRoot, ".data", "cloudflare", `${name}.json`);
}

/** Writes a file that only its owner can read, as a whole or not at all. @param {string} file @param {string} text */
async function writePrivate(file, text) {
  await mkdir(join(file, ".."), { recursive: true, mode: 0o700 });
  await writeFile(`${file}.new`, text, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/**
 * Runs the work with a file of secrets as JSON, because wrangler expands variables in other files.
 *
 * @template Result
 * @param {Readonly<Record<string, string>>} secrets @param {(file: string, folder: string) => Promise<Result>} work
 */
async function withSecrets(secrets, work) {
  const folder = await mkdtemp(join(tmpdir(), "letta-deploy-"));
  try {
    const file = join(folder, "secrets.json");
    await writeFile(file, JSON.stringify(secrets), { mode: 0o600 });
    return await work(file, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** @param {string} command @param {readonly string[]} args @param {NodeJS.ProcessEnv} env @returns {Promise<{ code: number, output: string }>} */
async function run(command, args, env) {
  const child = spawn(command, args, { cwd: app, env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  const [code] = await once(child, "close");
  return { code: Number(code ?? 1), output };
}

/** The configuration of a Worker. Both have the same objects, so one replaces the other. @param {import("./deploy.mjs").UploadRequest} request */
function configOf({ hasConsole }) {
  return hasConsole ? "wrangler.console.jsonc" : "wrangler.jsonc";
}

/** @param {import("./deploy.mjs").UploadRequest} request @param {string} node */
async function runLocally(request, node) {
  const { upstreamUrl, secrets } = request;
  const folder = await mkdtemp(join(tmpdir(), "letta-workerd-"));
  const variables = Object.entries(secrets).map(([name, value]) => `${name}='${value.replaceAll("'", "\\'")}'`);
  await writeFile(join(folder, "secrets.env"), `${variables.join("\n")}\n`, { mode: 0o600 });
  const port = await findFreePort();
  const files = ["--persist-to", join(folder, "state"), "--env-file", join(folder, "secrets.env")];
  const args = [
    program,
    "dev",
    "--config",
    configOf(request),
    "--ip",
    "127.0.0.1",
    "--port",
    String(port),
    "--var",
    `UPSTREAM_URL:${upstreamUrl}`,
    ...files,
  ];
  // A separate process group, so that workerd ends with wrangler.
  const child = spawn(node, args, { cwd: app, env: { ...process.env, ...quiet }, stdio: "ignore", detached: true });
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      if (child.pid !== undefined && child.exitCode === null) {
        process.kill(-child.pid, "SIGTERM");
        await once(child, "exit");
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** @returns {Promise<number>} */
async function findFreePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address !== null ? address.port : 0;
}
