/** Rate limits as users run them: separate processes, a configuration file, a real Valkey. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  canLaunchValkey,
  launchProxy,
  launchValkey,
  type LaunchedProxy,
  runLettaProxy,
} from "@letta-environments/testkit";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { RateLimitsFile } from "../src/config/file.ts";

vi.setConfig({ testTimeout: 60_000 });

let folder = "";
const stops: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "letta-proxy-limits-"));
});

afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
  await rm(folder, { recursive: true, force: true });
});

async function start(
  rateLimits: RateLimitsFile,
  env: Record<string, string> = {},
  name = "data",
): Promise<LaunchedProxy> {
  const config = join(folder, `${name}.json`);
  await writeFile(config, JSON.stringify({ rateLimits }));
  const proxy = await launchProxy({ dataDir: join(folder, name), env: { PROXY_CONFIG: config, ...env } });
  stops.push(() => proxy.stop());
  return proxy;
}

function list(proxy: LaunchedProxy, key: string): Promise<Response> {
  return fetch(`${proxy.url}/v1/environments`, { headers: { authorization: `Bearer ${key}` } });
}

/** A store that responds late on a busy machine is waited for, so that limits are decided by it. */
const patient: RateLimitsFile = { deadlineMs: 10_000 };

const ten: RateLimitsFile = { policies: { ten: { per: ["key"], limit: 10, windowMs: 600_000 } } };

test("limits in SQLite survive a crash, and exactly the burst passes", async () => {
  const file: RateLimitsFile = { ...ten, store: "sqlite" };
  const proxy = await start(file);
  const key = await proxy.createKey({ scopes: ["list"] });
  const answers = await Promise.all(Array.from({ length: 200 }, () => list(proxy, key)));
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);
  await proxy.process.stop("SIGKILL");
  const again = await start(file);
  const refused = await list(again, key);
  expect([refused.status, refused.headers.get("ratelimit-policy")]).toEqual([429, '"ten";q=10;w=600']);
});

test("rate limits are enabled by default, and stop a client that loops", async () => {
  const proxy = await launchProxy({ dataDir: join(folder, "data"), env: {} });
  stops.push(() => proxy.stop());
  const key = await proxy.createKey({ scopes: ["list", "send"] });
  expect((await list(proxy, key)).headers.get("ratelimit")).toMatch(/^"gateway-requests";r=\d+;t=\d+$/);
  const headers = { authorization: `Bearer ${key}` };
  const send = (): Promise<Response> =>
    fetch(`${proxy.url}/v1/environments/conn-1/messages`, { method: "POST", headers, body: "{}" });
  let limited: Response | null = null;
  // Ten sends a second are regained: fewer than the busiest machine makes.
  for (let round = 0; round < 100 && limited === null; round++) {
    const answers = await Promise.all(Array.from({ length: 50 }, send));
    limited = answers.find(({ status }) => status === 429) ?? null;
  }
  expect(limited?.headers.get("retry-after")).toMatch(/^\d+$/);
});

test("an invalid limit is reported with its path", async () => {
  const config = join(folder, "wrong.json");
  const policies = {
    mine: { per: ["key"], limit: 0 },
    other: { per: ["device"], limit: 1, routes: ["failedAuthentication"] },
  };
  await writeFile(config, JSON.stringify({ rateLimits: { policies } }));
  const check = runLettaProxy(["config", "check", "--config", config]);
  await expect(check).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining("rateLimits.policies.mine.limit"),
  });
  await writeFile(config, JSON.stringify({ rateLimits: { store: "valkey", policies: { other: policies.other } } }));
  await expect(runLettaProxy(["config", "check", "--config", config])).rejects.toMatchObject({
    stderr: expect.stringMatching(/policies\.other .*per address[\s\S]*rateLimits\.store valkey needs VALKEY_URL/),
  });
});

describe.skipIf(!canLaunchValkey())("with Valkey", () => {
  test("gateways that share a Valkey together admit exactly 10 of 200 requests, and report that they decide locally while it is unavailable", async () => {
    const valkey = await launchValkey();
    stops.push(valkey.stop);
    const env = { VALKEY_URL: valkey.url, KEY_PEPPER: "the same pepper for both of them" };
    // Created before the gateways start, because a later change of keys would need a lookup, to which a paused Valkey does not respond.
    const { stdout } = await runLettaProxy(["keys", "create", "--name", "n", "--data-dir", join(folder, "a")], env);
    const key = stdout.trim();
    const exact: RateLimitsFile = { ...ten, ...patient };
    const [first, second, hasty] = [
      await start(exact, env, "a"),
      await start(exact, env, "b"),
      await start(ten, env, "c"),
    ];
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) => list(index % 2 === 0 ? first : second, key)),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);

    // It knows the key now.
    await list(hasty, key);
    valkey.pause();
    // Valkey does not respond until this response has arrived.
    const alone = await list(hasty, key);
    valkey.resume();
    expect([alone.status, alone.headers.get("ratelimit-degraded")]).toEqual([200, '"ten";decided=local']);
    await vi.waitFor(async () => expect((await list(hasty, key)).status).toBe(429), { timeout: 30_000, interval: 100 });
  });
});
