/** The settings of a deployment to Cloudflare Workers: from options, then from the environment, then from the last deployment. */

/** A failure that the person at the command line can do something about. One line. */
export class DeployError extends Error {
  /** @param {string} message @param {string | null} [key] that was made before, and cannot be shown again */
  constructor(message, key = null) {
    super(message);
    this.key = key;
  }
}

/**
 * @typedef {object} Options
 * @property {string} name of the Worker
 * @property {string} upstreamUrl
 * @property {string} credential of the upstream
 * @property {string | null} url where the Worker is reached; `null`: as before, or where wrangler says
 * @property {boolean} hasConsole whether the Worker serves the web console
 * @property {boolean} isDryRun
 */

/**
 * The memory from one deployment to the next, in a file that only its owner can read.
 *
 * @typedef {object} State
 * @property {string} [accountId] absent in files of older versions
 * @property {string} [keyPepper] absent: only the account has it
 * @property {string} [adminToken]
 * @property {string} [upstreamUrl]
 * @property {string} [credential]
 * @property {string} [firstKeyId]
 * @property {string} [url]
 * @property {boolean} [hasConsole]
 */

const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** The name of the Worker. @param {string | undefined} name @returns {string} */
export function readName(name = "letta-proxy") {
  if (/^[a-z0-9](?:[a-z0-9-]{0,52}[a-z0-9])?$/.test(name)) return name;
  throw new DeployError("--name must be 1 to 54 of a-z, 0-9 and -, without - at its ends");
}

/**
 * Reads the settings.
 *
 * @param {{ readonly upstream?: string | undefined, readonly url?: string | undefined, readonly hasConsole?: boolean | undefined, readonly isDryRun: boolean }} given
 * @param {string} name
 * @param {Readonly<Record<string, string | undefined>>} environment
 * @param {State} state
 * @returns {Options}
 * @throws {DeployError} that names the setting and the next step, and repeats no value
 */
export function readOptions(given, name, environment, state) {
  const upstream = given.upstream ?? environment["UPSTREAM_URL"] ?? state.upstreamUrl;
  if (upstream === undefined || upstream === "") {
    throw new DeployError(
      "UPSTREAM_URL is not set: pass the environment server behind the gateway, such as --upstream https://api.letta.com",
    );
  }
  const upstreamUrl = readUrl(upstream, "--upstream (UPSTREAM_URL)", given.isDryRun);
  const credential = environment["LETTA_API_KEY"] ?? state.credential;
  if (credential === undefined || credential === "") {
    throw new DeployError("LETTA_API_KEY is not set: put the upstream's credential into the environment");
  }
  if (!/^[\x21-\x7e]+$/.test(credential)) {
    throw new DeployError("LETTA_API_KEY must be visible ASCII characters without spaces");
  }
  return {
    name,
    upstreamUrl,
    credential,
    url: given.url === undefined ? null : readUrl(given.url, "--url", false),
    hasConsole: given.hasConsole ?? state.hasConsole ?? false,
    isDryRun: given.isDryRun,
  };
}

/** @param {string} text @param {string} setting @param {boolean} allowsLoopback @returns {string} */
function readUrl(text, setting, allowsLoopback) {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isPlain = url !== null && url.username + url.password + url.search + url.hash === "";
  const isSafe =
    url?.protocol === "https:" || (allowsLoopback && url?.protocol === "http:" && loopback.test(url.hostname));
  if (isPlain && isSafe) return url.href.replace(/\/$/, "");
  throw new DeployError(`${setting} must be an absolute https: URL without user, query or fragment`);
}
