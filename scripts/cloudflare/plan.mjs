/**
 * Which secrets a deployment uploads. A pepper is made once: a second one would make every key of the gateway worthless. So the stored secrets are
 * used only for a Worker that does not exist yet. After that, changes and deletions in the account are kept; only secrets from the environment are
 * uploaded.
 */
import { createHash } from "node:crypto";
import { DeployError } from "./options.mjs";

/**
 * The account, and the Worker in it.
 *
 * @typedef {object} Account
 * @property {string | undefined} id absent: the login does not reveal it
 * @property {readonly string[] | null} secrets names of the secrets that the Worker has already; `null`: there is no such Worker
 * @property {string | null} pepper digest of the pepper that the Worker got; `null`: unknown
 */

/**
 * @param {import("./options.mjs").Options} options
 * @param {import("./options.mjs").State} state
 * @param {Account} account
 * @param {Readonly<Record<string, string | undefined>>} environment
 * @param {() => string} createSecret
 * @returns {{ readonly secrets: Readonly<Record<string, string>>, readonly state: import("./options.mjs").State }} the state has no token if the Worker has none
 */
export function planSecrets({ name, upstreamUrl, credential, hasConsole }, state, account, environment, createSecret) {
  refuseOther(name, state, account);
  const { keyPepper, adminToken, url, firstKeyId, ...rest } = state;
  const isNew = account.secrets === null;
  const storedToken = isNew || account.secrets?.includes("ADMIN_TOKEN") ? adminToken : undefined;
  const token = environment["ADMIN_TOKEN"] ?? storedToken ?? (isNew ? createSecret() : undefined);
  if (token !== undefined && !/^[\x21-\x7e]{32,}$/.test(token)) {
    throw new DeployError("ADMIN_TOKEN must be at least 32 visible ASCII characters");
  }
  const pepper = keyPepper ?? (isNew ? createSecret() : undefined);
  const given = (/** @type {string} */ secret) => isNew || environment[secret] !== undefined;
  return {
    secrets: {
      ...(given("LETTA_API_KEY") && { LETTA_API_KEY: credential }),
      ...(isNew && pepper !== undefined && { KEY_PEPPER: pepper }),
      ...(given("ADMIN_TOKEN") && token !== undefined && { ADMIN_TOKEN: token }),
    },
    state: {
      ...rest,
      upstreamUrl,
      credential,
      hasConsole,
      ...(account.id !== undefined && { accountId: account.id }),
      ...(pepper !== undefined && { keyPepper: pepper }),
      ...(token !== undefined && { adminToken: token }),
      ...(!isNew && url !== undefined && { url }),
      ...(!isNew && firstKeyId !== undefined && { firstKeyId }),
    },
  };
}

/** Refuses a Worker to which the state does not belong. @param {string} name @param {import("./options.mjs").State} state @param {Account} account */
function refuseOther(name, { accountId, keyPepper }, { id, secrets, pepper }) {
  const file = `.data/cloudflare/${name}.json`;
  if (accountId !== undefined && id !== undefined && accountId !== id) {
    throw new DeployError(
      `${file} belongs to the account ${accountId}, but this login is for ${id}: log in to the first account, or move the file away to deploy without it`,
    );
  }
  if (secrets !== null && !secrets.includes("KEY_PEPPER")) {
    throw new DeployError(
      "the account has a Worker of this name that this command did not deploy: it has no secret KEY_PEPPER; choose another --name",
    );
  }
  if (secrets !== null && pepper !== null && keyPepper !== undefined && pepper !== pepperDigest(keyPepper)) {
    throw new DeployError(
      `the Worker of this name has another KEY_PEPPER than ${file}: choose another --name, or move the file away to deploy without it`,
    );
  }
}

/** The message of a version, by which another deployment can recognise the pepper. @param {import("./options.mjs").State} state */
export function versionMessage({ keyPepper }) {
  return keyPepper === undefined ? "deploy:cloudflare" : `deploy:cloudflare, pepper ${pepperDigest(keyPepper)}`;
}

/** The digest of the pepper in the newest {@link versionMessage}. @param {unknown} versions from the oldest to the newest @returns {string | null} */
export function readPepperDigest(versions) {
  const messages = Array.isArray(versions) ? versions.map((version) => version?.annotations?.["workers/message"]) : [];
  return messages.map((message) => /, pepper ([0-9a-f]{16})$/.exec(message)?.[1]).findLast(Boolean) ?? null;
}

/** @param {string} pepper */
function pepperDigest(pepper) {
  return createHash("sha256").update(pepper).digest("hex").slice(0, 16);
}

/** The addresses of a deployment, from the file that wrangler writes (a JSON document a line). @param {string} text @returns {string[]} */
export function readTargets(text) {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line))
    .filter(({ type }) => type === "deploy")
    .flatMap(({ targets }) => (Array.isArray(targets) ? targets : []))
    .map(String)
    .map((target) => (target.startsWith("https://") ? target : `https://${target.split(" ")[0]}`))
    .map((target) => target.replace(/\/\*?$/, ""));
}
