import { createRequire } from "node:module";
import { resolve } from "node:path";
import process from "node:process";
import type { TestHarness } from "wrangler";
import type { IssuedKey, KeyOptions, LaunchedGateway, LaunchRequest, RuntimeLauncher } from "./launcher.ts";

/** Secrets of a Worker under test. */
export const workerSecrets = {
  KEY_PEPPER: "pepper of a test, which is long enough",
  ADMIN_TOKEN: "the-token-of-an-operator-in-a-test",
  LETTA_API_KEY: "sk-upstream-of-a-test",
} as const;

/** Environment variables that stop wrangler from sending its own requests. It reads them when it is loaded. */
export const quietWrangler = {
  DO_NOT_TRACK: "1",
  WRANGLER_SEND_METRICS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  WRANGLER_HIDE_BANNER: "true",
} as const;

/** The folder of the app, with `wrangler.jsonc`. */
export const appFolder: string = resolve(import.meta.dirname, "../..");

/** Starts the built Worker in workerd through wrangler; its keys are made over `/admin/v1`, as there is no other way. */
export function createWorkerdLauncher(): RuntimeLauncher {
  const wrangler = createRequire(createRequire(import.meta.url).resolve("wrangler"));
  const { version } = wrangler("workerd/package.json") as { readonly version: string };
  return { name: "workerd", version, launch };
}

async function launch({ config, environment }: LaunchRequest): Promise<LaunchedGateway> {
  const { server, url } = await launchWorker({ ...environment, PROXY_CONFIG: JSON.stringify(config) });
  return { url, ...administerKeys(url), stop: () => server.close() };
}

/** Starts the built Worker with these variables and {@link workerSecrets}, or the one with the web console. */
export async function launchWorker(
  variables: Readonly<Record<string, string>>,
  { withConsole = false }: { readonly withConsole?: boolean } = {},
): Promise<{ readonly server: TestHarness; readonly url: string }> {
  Object.assign(process.env, quietWrangler);
  const { createTestHarness } = await import("wrangler");
  const server = createTestHarness({
    root: appFolder,
    workers: [
      {
        configPath: withConsole ? "./wrangler.console.jsonc" : "./wrangler.jsonc",
        prebuiltWorkerDir: withConsole ? "./dist/worker-console" : "./dist/worker",
        vars: { ...workerSecrets, ...variables },
      },
    ],
  });
  const { url } = await server.listen();
  return { server, url: url.origin };
}

/** Makes and ends keys with the operator's token. */
export function administerKeys(url: string): Pick<LaunchedGateway, "createKey" | "revokeKey"> {
  async function post(path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`${url}/admin/v1/keys${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${workerSecrets.ADMIN_TOKEN}`, "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`The administration answered ${response.status}: ${await response.text()}`);
    return response.json();
  }

  return {
    async createKey({ scopes, deviceIds }: KeyOptions): Promise<IssuedKey> {
      const body = { name: "suite", scopes, ...(deviceIds !== undefined && { deviceIds }) };
      const { id, key } = (await post("", body)) as IssuedKey;
      return { id, key };
    },
    async revokeKey(id) {
      await post(`/${id}/revoke`);
    },
  };
}
