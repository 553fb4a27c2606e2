/** Runs `letta-proxy` as a user does: separate processes over a new data directory for each test. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launchProxy, type LaunchedProxy, runLettaProxy } from "@letta-environments/testkit";
import { afterEach, beforeEach } from "vitest";

/** The result of a command that ended, with any exit code. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The commands and gateways of a test. */
export interface CommandLineSession {
  /** The data directory of the current test. */
  readonly dataDir: string;
  /** Starts a gateway, which is stopped after the test. */
  start(env?: Record<string, string>): Promise<LaunchedProxy>;
  /** Runs a command to its end. */
  run(words: readonly string[], env?: Record<string, string>): Promise<CommandResult>;
}

/** Creates a data directory before each test of the file, and stops gateways and removes it afterwards. */
export function useCommandLine(): CommandLineSession {
  let dataDir = "";
  const proxies: LaunchedProxy[] = [];

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "letta-proxy-"));
  });

  afterEach(async () => {
    for (const proxy of proxies.splice(0)) await proxy.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  return {
    get dataDir() {
      return dataDir;
    },
    async start(env = {}) {
      const proxy = await launchProxy({ dataDir, env });
      proxies.push(proxy);
      return proxy;
    },
    async run(words, env = {}) {
      try {
        return { code: 0, ...(await runLettaProxy([...words, "--data-dir", dataDir], env)) };
      } catch (error) {
        return error as CommandResult;
      }
    },
  };
}

/** Sends a request to a gateway: GET, or POST with a body. */
export async function ask(
  proxy: LaunchedProxy,
  key: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; json: unknown; headers: Headers }> {
  const response = await fetch(proxy.url + path, {
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
  });
  return { status: response.status, json: await response.json(), headers: response.headers };
}
