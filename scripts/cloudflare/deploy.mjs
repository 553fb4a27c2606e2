/**
 * One deployment, in this order: settings, account, build, secrets, upload, first key. Whatever can be checked is checked before anything is
 * written or uploaded. New secrets are stored before they are used, so that the command can be repeated after any failure.
 */
import { DeployError, readName, readOptions } from "./options.mjs";
import { planSecrets, readPepperDigest, versionMessage } from "./plan.mjs";

/**
 * The parts of the machine that a deployment uses.
 *
 * @typedef {object} Host
 * @property {Readonly<Record<string, string | undefined>>} environment
 * @property {() => Promise<void>} prepare installs what is missing
 * @property {(args: readonly string[]) => Promise<{ code: number, output: string }>} wrangler runs wrangler without a terminal
 * @property {() => Promise<number>} build resolves with an exit code
 * @property {(name: string) => Promise<import("./options.mjs").State>} readState
 * @property {(name: string, state: import("./options.mjs").State) => Promise<void>} writeState
 * @property {(request: UploadRequest) => Promise<{ code: number, output: string, targets: readonly string[] }>} upload
 * @property {(request: UploadRequest) => Promise<{ url: string, stop(): Promise<void> }>} runLocally starts the Worker in workerd
 * @property {(url: string, path: string, key?: string) => Promise<number>} request resolves with the status; 0 without a response
 * @property {(url: string, adminToken: string) => Promise<{ key: string, id: string }>} createKey
 * @property {() => string} createSecret
 * @property {(delayMs: number) => Promise<void>} pause
 * @property {(line: string) => void} report for people
 *
 * @typedef {{ readonly name: string, readonly upstreamUrl: string, readonly hasConsole: boolean, readonly secrets: Readonly<Record<string, string>>, readonly message: string, readonly isDryRun: boolean }} UploadRequest
 */

/** A new Worker is reachable after some seconds. */
const attempts = 30;
const pauseMs = 2_000;

/**
 * Deploys the gateway. Resolves with the first key, or with `null` if it was made before.
 *
 * @param {{ readonly name?: string | undefined, readonly upstream?: string | undefined, readonly url?: string | undefined, readonly hasConsole?: boolean | undefined, readonly isDryRun: boolean, readonly isBuilt?: boolean }} given
 *   `hasConsole`: with the web console; absent: as in the last deployment. `isBuilt`: uses what the last build wrote
 * @param {Host} host
 * @returns {Promise<string | null>}
 * @throws {DeployError}
 */
export async function deploy(given, host) {
  const name = readName(given.name);
  const before = given.isDryRun ? {} : await host.readState(name);
  const options = readOptions(given, name, host.environment, before);
  await host.prepare();
  const account = options.isDryRun ? noAccount : await readAccount(name, host);
  const { secrets, state } = planSecrets(options, before, account, host.environment, host.createSecret);
  if (!given.isBuilt) {
    host.report("Building the Worker ...");
    if ((await host.build()) !== 0) throw new DeployError("the build failed: see above; nothing was uploaded");
  }
  const { upstreamUrl, hasConsole, isDryRun } = options;
  const request = { name, upstreamUrl, hasConsole, secrets, message: versionMessage(state), isDryRun };
  if (options.isDryRun) return rehearse(request, host);

  await host.writeState(name, state);
  host.report(`Uploading ${name} ...`);
  const uploaded = await host.upload(request);
  if (uploaded.code !== 0) {
    throw new DeployError(
      `wrangler deploy failed: ${lastLine(uploaded.output)}; repeat the command when that is fixed`,
    );
  }
  const url = options.url ?? state.url ?? uploaded.targets[0];
  if (url === undefined) {
    throw new DeployError(
      "the Worker was uploaded, but has no address: enable workers.dev or add a route, and repeat with --url",
    );
  }
  await host.writeState(name, { ...state, url });
  if (hasConsole) await checkConsole(url, host);
  const { adminToken, firstKeyId } = state;
  const hasOperator = adminToken !== undefined || account.secrets?.includes("ADMIN_TOKEN");
  if (firstKeyId !== undefined || !hasOperator) {
    const keyText = firstKeyId === undefined ? "" : ` Its first key, ${firstKeyId}, was printed before.`;
    const operatorText = hasOperator ? "" : " It has no ADMIN_TOKEN: set one in the environment to make keys with it.";
    host.report(`Deployed to ${url}.${keyText}${operatorText}${consoleText(url, request)}`);
    return null;
  }
  if (adminToken === undefined) {
    throw new DeployError(
      "deployed, but the operator's token is only in the account: set ADMIN_TOKEN to it (or to a new one) and repeat the command",
    );
  }
  const { key, id } = await firstKey(url, adminToken, host);
  await host.writeState(name, { ...state, url, firstKeyId: id });
  await checkKey(url, key, host);
  host.report(
    `Deployed to ${url}.${consoleText(url, request)} This is its first key (list, read, send); it is shown once:`,
  );
  return key;
}

/** @param {string} url @param {Pick<UploadRequest, "hasConsole">} request */
function consoleText(url, { hasConsole }) {
  return hasConsole ? ` The console is at ${url}/console/: sign in with a key.` : "";
}

/**
 * Checks that the page of the console is there, and that the Worker has its sessions, which refuse requests from anywhere but that page.
 *
 * @param {string} url @param {Host} host
 */
async function checkConsole(url, host) {
  for (let attempt = 1; ; attempt += 1) {
    const found = [await host.request(url, "/console/"), await host.request(url, "/console/session")];
    if (found.join() === "200,403") return;
    if (attempt === attempts)
      throw new DeployError(
        `deployed, but ${url}/console/ returns ${found[0]} and its session ${found[1]} instead of 200 and 403: repeat the command in a minute, or leave the console out with --no-console`,
      );
    await host.pause(pauseMs);
  }
}

/** Of a dry run. @type {import("./plan.mjs").Account} */
const noAccount = { id: undefined, secrets: null, pepper: null };

/**
 * Checks the account, and finds the secrets that the Worker has.
 *
 * @param {string} name @param {Host} host @returns {Promise<import("./plan.mjs").Account>}
 */
async function readAccount(name, { wrangler, environment }) {
  const identity = await wrangler(["whoami", "--json"]);
  const { loggedIn, accounts = [] } = parseJson(identity.output);
  if (loggedIn !== true) {
    throw new DeployError(
      loggedIn === false
        ? "no Cloudflare account: set CLOUDFLARE_API_TOKEN, or run 'npx wrangler login' in apps/proxy"
        : `the Cloudflare account cannot be read: ${lastLine(identity.output)}`,
    );
  }
  if (Array.isArray(accounts) && accounts.length > 1 && !environment["CLOUDFLARE_ACCOUNT_ID"]) {
    throw new DeployError(
      `your login has ${accounts.length} accounts: set CLOUDFLARE_ACCOUNT_ID to the id of one of them`,
    );
  }
  const listed = await wrangler(["secret", "list", "--name", name, "--format", "json"]);
  const id = environment["CLOUDFLARE_ACCOUNT_ID"] || accounts[0]?.id;
  if (listed.code === 0) {
    const secrets = parseJson(listed.output);
    const names = Array.isArray(secrets) ? secrets.map((secret) => String(Object(secret).name)) : [];
    const versions = await wrangler(["versions", "list", "--name", name, "--json"]);
    return { id, secrets: names, pepper: versions.code === 0 ? readPepperDigest(parseJson(versions.output)) : null };
  }
  // The code of Cloudflare's API for a Worker that does not exist.
  if (/\b10007\b|does not exist/i.test(listed.output)) return { id, secrets: null, pepper: null };
  throw new DeployError(`the Worker's secrets cannot be listed: ${lastLine(listed.output)}`);
}

/**
 * Everything but the upload: what wrangler would send, and the Worker with its first key in workerd.
 *
 * @param {UploadRequest} request @param {Host} host @returns {Promise<null>}
 */
async function rehearse(request, host) {
  const checked = await host.upload(request);
  if (checked.code !== 0) throw new DeployError(`wrangler deploy --dry-run failed: ${lastLine(checked.output)}`);
  const worker = await host.runLocally(request);
  try {
    const { key } = await firstKey(worker.url, request.secrets["ADMIN_TOKEN"] ?? "", host);
    await checkKey(worker.url, key, host);
    if (request.hasConsole) await checkConsole(worker.url, host);
  } finally {
    await worker.stop();
  }
  host.report(
    `Dry run: the Worker runs in workerd${request.hasConsole ? " with its console" : ""} and made its first key. Nothing was uploaded, and nothing was stored.`,
  );
  return null;
}

/**
 * Waits for the Worker and makes a key.
 *
 * @param {string} url @param {string} adminToken @param {Host} host
 */
async function firstKey(url, adminToken, host) {
  for (let attempt = 1; (await host.request(url, "/livez")) !== 200; attempt += 1) {
    if (attempt === attempts)
      throw new DeployError(`deployed, but ${url}/livez does not respond yet: repeat the command in a minute`);
    await host.pause(pauseMs);
  }
  const open = await host.request(url, "/v1/environments");
  if (open !== 401) {
    throw new DeployError(
      `${url} returns ${open} instead of 401 without a key: something else is in front of the Worker, or its settings are wrong`,
    );
  }
  return host.createKey(url, adminToken);
}

/** Checks that the Worker accepts a key. @param {string} url @param {string} key @param {Host} host */
async function checkKey(url, key, host) {
  // An invalid query is refused after the key is checked and before the upstream is called.
  const status = await host.request(url, "/v1/environments?limit=0", key);
  if (status === 400) return;
  throw new DeployError(`deployed, but ${url} returns ${status} to its first key instead of accepting it`, key);
}

/** @param {string} text @returns {any} */
function parseJson(text) {
  const start = text.search(/[[{]/);
  try {
    return JSON.parse(text.slice(Math.max(0, start)));
  } catch {
    return {};
  }
}

/** The line of wrangler that says what is wrong. @param {string} output */
function lastLine(output) {
  const lines = output
    // oxlint-disable-next-line no-control-regex -- colours of a terminal
    .replaceAll(/\u001b\[[0-9;]*m/g, "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/Logs were written|^-+$|wrangler \d/.test(line));
  const error = lines.find((line) => /\[ERROR\]/.test(line))?.replace(/^.*\[ERROR\]\s*/, "");
  return (error ?? lines.at(-1) ?? "no output").slice(0, 300);
}
