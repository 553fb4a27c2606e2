/** The deployment with an account and a Worker that are played by the test. The rehearsal with the real wrangler and workerd is in apps/proxy/test/docs. */
import { beforeEach, describe, expect, test } from "vitest";
import { deploy } from "./deploy.mjs";
import { DeployError, readName, readOptions } from "./options.mjs";
import { planSecrets, readTargets } from "./plan.mjs";

/** @typedef {import("./options.mjs").State} State */

/** @type {State} */
let stored;
/** @type {{ secrets: Record<string, string> | null, keys: string[], uploads: number, hasConsole?: boolean, message?: string | undefined }} */
let account;
/** @type {string[]} */
let reported;
let secretCount = 0;

beforeEach(() => {
  stored = {};
  account = { secrets: null, keys: [], uploads: 0 };
  reported = [];
  secretCount = 0;
});

const environment = { LETTA_API_KEY: "sk-upstream" };
const given = { upstream: "https://upstream.example", isDryRun: false };

/** @param {Partial<import("./deploy.mjs").Host>} [overrides] @returns {import("./deploy.mjs").Host} */
function createHost(overrides = {}) {
  return {
    environment,
    prepare: () => Promise.resolve(),
    wrangler: async ([command]) => {
      if (command === "whoami") return { code: 0, output: '{"loggedIn":true,"accounts":[{"id":"a"}]}' };
      if (command === "versions") {
        const annotated = { annotations: { "workers/message": account.message } };
        return { code: 0, output: JSON.stringify([annotated, { annotations: { "workers/message": "by hand" } }, {}]) };
      }
      if (account.secrets === null)
        return { code: 1, output: "A request failed. This Worker does not exist. [code: 10007]" };
      return { code: 0, output: JSON.stringify(Object.keys(account.secrets).map((name) => ({ name }))) };
    },
    build: () => Promise.resolve(0),
    readState: () => Promise.resolve(stored),
    writeState: async (_name, state) => void (stored = state),
    upload: async ({ secrets, hasConsole, message }) => {
      const uploads = account.uploads + 1;
      account = { ...account, secrets: { ...account.secrets, ...secrets }, uploads, hasConsole, message };
      return { code: 0, output: "", targets: ["https://letta-proxy.someone.workers.dev"] };
    },
    runLocally: () => Promise.reject(new Error("not in this test")),
    request: async (_url, path, key) => {
      if (path.startsWith("/console/")) return account.hasConsole !== true ? 404 : path === "/console/" ? 200 : 403;
      return path === "/livez" ? 200 : key === undefined ? 401 : 400;
    },
    createKey: async (_url, adminToken) => {
      if (adminToken !== account.secrets?.["ADMIN_TOKEN"]) throw new DeployError("wrong token");
      account.keys.push("lek_first");
      return { key: "lek_first", id: "first-id" };
    },
    createSecret: () => `${(secretCount += 1)}`.padStart(64, "0"),
    pause: () => Promise.resolve(),
    report: (line) => void reported.push(line),
    ...overrides,
  };
}

describe("deployments", () => {
  test("a deployment uploads secrets, creates the first key and returns it; a repeat asks nothing, and creates neither secrets nor a key again", async () => {
    expect(await deploy(given, createHost())).toBe("lek_first");
    const { secrets } = account;
    expect(Object.keys(secrets ?? {}).sort()).toEqual(["ADMIN_TOKEN", "KEY_PEPPER", "LETTA_API_KEY"]);
    expect(await deploy({ isDryRun: false }, createHost({ environment: {} }))).toBeNull();
    expect(account).toMatchObject({ secrets, keys: ["lek_first"], uploads: 2, hasConsole: false });
    expect(reported.join("\n") + account.message).not.toMatch(/sk-upstream|0000/);
  });

  test("the console is offered once, is kept by every repeat, and is removed on request", async () => {
    await deploy({ ...given, hasConsole: true }, createHost());
    expect(reported.join("\n")).toContain("The console is at https://letta-proxy.someone.workers.dev/console/");
    await deploy({ isDryRun: false }, createHost({ environment: {} }));
    expect(account).toMatchObject({ hasConsole: true, uploads: 2 });
    await deploy({ isDryRun: false, hasConsole: false }, createHost());
    expect([account.hasConsole, stored.hasConsole]).toEqual([false, false]);
  });

  test("a console that does not respond is reported with its address, and the first key is left for the next run", async () => {
    const { request } = createHost();
    const without = createHost({
      request: async (url, path, key) => (path === "/console/" ? 404 : request(url, path, key)),
    });
    const text = /\/console\/ returns 404 and its session 403 instead of 200 and 403: repeat .* --no-console$/;
    await expect(deploy({ ...given, hasConsole: true }, without)).rejects.toThrow(text);
    expect(account.keys).toEqual([]);
    expect(await deploy({ isDryRun: false }, createHost())).toBe("lek_first");
  });

  test("a failed upload leaves the secrets for the next one", async () => {
    const failing = createHost({ upload: async () => ({ code: 1, output: "✘ [ERROR] no quota", targets: [] }) });
    await expect(deploy(given, failing)).rejects.toThrow("wrangler deploy failed: no quota; repeat");
    const { keyPepper } = stored;
    expect(await deploy(given, createHost())).toBe("lek_first");
    expect(account.secrets?.["KEY_PEPPER"]).toBe(keyPepper);
  });

  test("a Worker that does not respond yet leaves its key for the next run", async () => {
    await expect(deploy(given, createHost({ request: async () => 0 }))).rejects.toThrow(/does not respond yet: repeat/);
    expect(account.keys).toEqual([]);
    expect(await deploy(given, createHost())).toBe("lek_first");
  });

  test("no key is sent to an address at which another server responds", async () => {
    const open = createHost({ request: async () => 200 });
    await expect(deploy(given, open)).rejects.toThrow(/returns 200 instead of 401 without a key/);
    expect(account.keys).toEqual([]);
  });

  test("a deployment without its state file keeps the pepper of the account, and needs the operator's token", async () => {
    account.secrets = { KEY_PEPPER: "of the account", ADMIN_TOKEN: "t".repeat(32), LETTA_API_KEY: "x" };
    await expect(deploy(given, createHost())).rejects.toThrow(/set ADMIN_TOKEN/);
    expect(account.secrets["KEY_PEPPER"]).toBe("of the account");
    const withToken = createHost({ environment: { ...environment, ADMIN_TOKEN: "t".repeat(32) } });
    expect(await deploy(given, withToken)).toBe("lek_first");
    expect(account.secrets["KEY_PEPPER"]).toBe("of the account");
  });

  test("a secret that was changed or deleted in the account is not restored, unless the environment provides it", async () => {
    await deploy(given, createHost());
    const { KEY_PEPPER } = account.secrets ?? {};
    account.secrets = { KEY_PEPPER: KEY_PEPPER ?? "", ADMIN_TOKEN: "rotated", LETTA_API_KEY: "rotated" };
    await deploy({ isDryRun: false }, createHost({ environment: {} }));
    expect(account.secrets).toEqual({ KEY_PEPPER, ADMIN_TOKEN: "rotated", LETTA_API_KEY: "rotated" });
    account.secrets = { KEY_PEPPER: KEY_PEPPER ?? "" };
    await deploy({ isDryRun: false }, createHost({ environment: {} }));
    expect(account.secrets).toEqual({ KEY_PEPPER });
    expect(stored).not.toHaveProperty("adminToken");
    expect(reported.at(-1)).toContain("has no ADMIN_TOKEN");
    const token = "t".repeat(32);
    await deploy({ isDryRun: false }, createHost({ environment: { ADMIN_TOKEN: token, LETTA_API_KEY: "new" } }));
    expect(account.secrets).toEqual({ KEY_PEPPER, ADMIN_TOKEN: token, LETTA_API_KEY: "new" });
    expect(stored.adminToken).toBe(token);
  });

  test("a deployment without its state file does not recreate a deleted operator's token", async () => {
    account.secrets = { KEY_PEPPER: "of the account" };
    expect(await deploy(given, createHost())).toBeNull();
    expect([account.secrets, account.keys]).toEqual([
      { KEY_PEPPER: "of the account", LETTA_API_KEY: "sk-upstream" },
      [],
    ]);
    expect(reported.at(-1)).toContain("has no ADMIN_TOKEN");
  });

  test.each([
    [
      "account",
      async () => void (stored = { ...stored, accountId: "b" }),
      /letta-proxy\.json belongs to the account b, .* is for a: /,
    ],
    [
      "pepper",
      async () => {
        const mine = stored;
        stored = {};
        account = { secrets: null, keys: [], uploads: 0 };
        await deploy(given, createHost());
        stored = mine;
      },
      /of this name has another KEY_PEPPER than .*letta-proxy\.json: /,
    ],
  ])(
    "a Worker with another %s than that of the state file is left alone, and one line says what to do",
    async (...of) => {
      await deploy(given, createHost());
      await of[1]();
      const before = [structuredClone(account), structuredClone(stored)];
      const refused = deploy({ isDryRun: false }, createHost({ build: () => Promise.reject(new Error("built")) }));
      await expect(refused).rejects.toThrow(of[2]);
      expect([account, stored]).toEqual(before);
    },
  );

  test("an older state file, which does not name its account, stays in use, and names the account from then on", async () => {
    await deploy(given, createHost());
    const { accountId, ...old } = stored;
    stored = old;
    account = { ...account, message: undefined };
    expect(await deploy({ isDryRun: false }, createHost({ environment: {} }))).toBeNull();
    expect([accountId, stored.accountId, account.uploads]).toEqual(["a", "a", 2]);
  });

  test("a Worker that was deleted is deployed as a new one, with a first key", async () => {
    await deploy(given, createHost());
    stored = { ...stored, url: "https://gone.example" };
    account = { secrets: null, keys: [], uploads: 0 };
    expect(await deploy({ isDryRun: false }, createHost({ environment: {} }))).toBe("lek_first");
    expect([account.keys, stored.url]).toEqual([["lek_first"], "https://letta-proxy.someone.workers.dev"]);
  });

  test("a first key that is refused is still returned, because it was created, and no second one is created", async () => {
    const { request } = createHost();
    const refusing = createHost({
      request: async (url, path, key) => (key === undefined ? request(url, path) : 503),
    });
    const text = "returns 503 to its first key";
    await expect(deploy(given, refusing)).rejects.toMatchObject({
      message: expect.stringContaining(text),
      key: "lek_first",
    });
    expect(await deploy({ isDryRun: false }, createHost())).toBeNull();
    expect(account.keys).toEqual(["lek_first"]);
  });

  test.each([
    ["no account", { output: '{"loggedIn":false}' }, /^no Cloudflare account: set CLOUDFLARE_API_TOKEN, or run/],
    [
      "several accounts",
      { output: '{"loggedIn":true,"accounts":[{},{}]}' },
      /has 2 accounts: set CLOUDFLARE_ACCOUNT_ID/,
    ],
    ["no network", { output: "✘ [ERROR] Unable to resolve the host" }, /cannot be read: Unable to resolve the host$/],
  ])(
    "a deployment with %s builds, stores and uploads nothing, and prints one line that says what to do",
    async (_, { output }, text) => {
      const host = createHost({
        wrangler: async () => ({ code: 1, output }),
        build: () => Promise.reject(new Error("built")),
      });
      await expect(deploy(given, host)).rejects.toThrow(text);
      expect([stored, account.uploads]).toEqual([{}, 0]);
    },
  );
});

describe("settings of a deployment", () => {
  const read = (/** @type {object} */ options, /** @type {Record<string, string>} */ env = environment) =>
    readOptions({ isDryRun: false, ...options }, "letta-proxy", env, {});

  test("a missing or wrong setting is named with the next step, and never repeated", () => {
    expect(() => read({})).toThrow(/^UPSTREAM_URL is not set: pass/);
    expect(() => read({ upstream: "https://a.example" }, {})).toThrow(/^LETTA_API_KEY is not set: put/);
    expect(() => read({ upstream: "https://a.example" }, { LETTA_API_KEY: "a b" })).toThrow(/^LETTA_API_KEY must be/);
    expect(() => read({ upstream: "https://u:secret@a.example" })).toThrow(
      /^--upstream \(UPSTREAM_URL\) must be an absolute/,
    );
    expect(() => read({ upstream: "http://127.0.0.1:8787" })).toThrow(/https:/);
    expect(read({ upstream: "http://127.0.0.1:8787", isDryRun: true }).upstreamUrl).toBe("http://127.0.0.1:8787");
  });

  test("the name of a Worker is one that Cloudflare accepts", () => {
    expect(readName(undefined)).toBe("letta-proxy");
    for (const name of ["", "A", "-a", "a-", "a_b", "a".repeat(55)])
      expect(() => readName(name)).toThrow(/^--name must/);
  });
});

test.each([
  ["with other secrets", { keyPepper: "p" }, ["OTHER"]],
  ["without secrets", {}, []],
])("somebody else's Worker with the same name, %s, is not overwritten", (_, state, secrets) => {
  const where = { name: "x", upstreamUrl: "https://a.example", credential: "c", url: null };
  const options = { ...where, hasConsole: false, isDryRun: false };
  const account = { id: "a", secrets, pepper: null };
  expect(() => planSecrets(options, state, account, {}, () => "s")).toThrow(/choose another --name/);
});

test("the address is read from the file that wrangler writes", () => {
  const lines = [
    { type: "wrangler-session" },
    { type: "deploy", targets: ["https://a.b.workers.dev", "gateway.example/*"] },
  ];
  expect(readTargets(lines.map((line) => JSON.stringify(line)).join("\n"))).toEqual([
    "https://a.b.workers.dev",
    "https://gateway.example",
  ]);
});
