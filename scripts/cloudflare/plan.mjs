/**
 * Which secrets a deployment uploads. A pepper is made once: a second one would make every key of the gateway worthless. So it is made only if
 * neither the state file nor the account has one.
 */
import { DeployError } from "./options.mjs";

/**
 * @param {import("./options.mjs").Options} options
 * @param {import("./options.mjs").State} state
 * @param {readonly string[] | null} accountSecrets names of the secrets that the Worker has already; `null`: there is no such Worker
 * @param {string | undefined} adminToken of the operator, where the state has none
 * @param {() => string} createSecret
 * @returns {{ readonly secrets: Readonly<Record<string, string>>, readonly state: import("./options.mjs").State }}
 */
export function planSecrets({ upstreamUrl, credential, hasConsole }, state, accountSecrets, adminToken, createSecret) {
  const isInAccount = (/** @type {string} */ name) => accountSecrets?.includes(name) === true;
  if (accountSecrets !== null && !isInAccount("KEY_PEPPER")) {
    throw new DeployError(
      "the account has a Worker of this name that this command did not deploy: it has no secret KEY_PEPPER; choose another --name",
    );
  }
  const keyPepper = state.keyPepper ?? (isInAccount("KEY_PEPPER") ? undefined : createSecret());
  const token = state.adminToken ?? adminToken ?? (isInAccount("ADMIN_TOKEN") ? undefined : createSecret());
  if (token !== undefined && !/^[\x21-\x7e]{32,}$/.test(token)) {
    throw new DeployError("ADMIN_TOKEN must be at least 32 visible ASCII characters");
  }
  const next = {
    ...state,
    upstreamUrl,
    credential,
    hasConsole,
    ...(keyPepper !== undefined && { keyPepper }),
    ...(token !== undefined && { adminToken: token }),
  };
  const secrets = {
    LETTA_API_KEY: credential,
    ...(keyPepper !== undefined && { KEY_PEPPER: keyPepper }),
    ...(token !== undefined && { ADMIN_TOKEN: token }),
  };
  return { secrets, state: next };
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
