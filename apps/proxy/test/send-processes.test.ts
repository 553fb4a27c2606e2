/** Gateways that share a store deliver a message once, whichever of them receives its repeats. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  canLaunchValkey,
  createFakeUpstream,
  type FakeUpstream,
  type LaunchedProxy,
  launchProxy,
  launchValkey,
  runLettaProxy,
} from "@letta-environments/testkit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { environmentRow } from "./support/environment-row.ts";

const pepper = "a random text of one's own, long enough";

let dataDir: string;
let upstream: FakeUpstream;
const closers: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "letta-sends-"));
  upstream = await createFakeUpstream(({ method }, response) => {
    const accepted = { success: true, message: "ok" };
    const body = method === "POST" ? accepted : { connections: [environmentRow("1")], hasNextPage: false };
    const respond = (): void => {
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    if (method === "POST") setTimeout(respond, 200);
    else respond();
  });
});

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  await upstream.close();
  await rm(dataDir, { recursive: true, force: true });
});

async function start(env: Readonly<Record<string, string>> = {}): Promise<LaunchedProxy> {
  const proxy = await launchProxy({
    dataDir,
    env: { UPSTREAM_URL: upstream.url, LETTA_API_KEY: "sk-of-the-upstream", ...env },
  });
  closers.push(() => proxy.stop());
  return proxy;
}

/** Sends messages several times to two gateways. Returns the responses, and the bodies that the upstream received. */
async function sendToBoth(
  ids: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly responses: readonly unknown[]; readonly delivered: readonly string[] }> {
  const [one, two] = [await start(env), await start(env)];
  const words = ["keys", "create", "--name", "n", "--scope", "send", "--data-dir", dataDir];
  const key = (await runLettaProxy(words, env)).stdout.trim();
  const send = async ({ url }: LaunchedProxy, id: string): Promise<unknown> => {
    const response = await fetch(`${url}/v1/environments/conn-1/messages`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ agentId: "a", messages: [{ role: "user", content: "x", client_message_id: id }] }),
    });
    return [response.status, await response.json()];
  };
  const first = await Promise.all(ids.flatMap((id) => [send(one, id), send(two, id), send(two, id)]));
  const again = await Promise.all(ids.map((id) => send(two, id)));
  const delivered = upstream.seen.filter(({ method }) => method === "POST").map(({ body }) => body);
  return { responses: [...first, ...again], delivered };
}

const ids = Array.from({ length: 20 }, (_, index) => `m-${index}`);
const accepted = [200, { success: true, message: "ok" }];

test("gateways that share a data directory deliver a message once", async () => {
  const { responses, delivered } = await sendToBoth(ids);
  expect(responses).toEqual(responses.map(() => accepted));
  expect(delivered).toHaveLength(ids.length);
  expect(new Set(delivered).size).toBe(ids.length);
}, 60_000);

test.skipIf(!canLaunchValkey())(
  "gateways that share a Valkey deliver a message once",
  async () => {
    const valkey = await launchValkey();
    closers.push(() => valkey.stop());
    const { responses, delivered } = await sendToBoth(ids, { VALKEY_URL: valkey.url, KEY_PEPPER: pepper });
    expect(responses).toEqual(responses.map(() => accepted));
    expect(delivered).toHaveLength(ids.length);
    expect(new Set(delivered).size).toBe(ids.length);
  },
  60_000,
);

test.skipIf(!canLaunchValkey()).each([
  [["--appendonly", "no"], "set 'appendonly yes'"],
  [["--maxmemory-policy", "volatile-lru"], "set 'maxmemory-policy noeviction'"],
])(
  "a gateway with a remote upstream does not start on a Valkey with %j, and config check finds that",
  async (args, hint) => {
    const valkey = await launchValkey({ args });
    closers.push(() => valkey.stop());
    const env = { UPSTREAM_URL: upstream.url, VALKEY_URL: valkey.url, KEY_PEPPER: pepper };
    const starting = runLettaProxy(["start", "--port", "0", "--data-dir", dataDir], env);
    await expect(starting).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining(hint) });
    const check = runLettaProxy(["config", "check", "--data-dir", dataDir], env);
    await expect(check).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining(hint) });
  },
  60_000,
);
