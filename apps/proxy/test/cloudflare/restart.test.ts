/** The Worker as `wrangler dev` runs it, killed and started again; and the official SDK with a real device behind a second gateway. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import Letta from "@letta-ai/letta-client";
import {
  demoAgentId,
  launchDevice,
  type LaunchedDevice,
  type LaunchedProcess,
  type LaunchedProxy,
  launchProcess,
  launchProxy,
} from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { ask } from "../runtimes/use-gateway.ts";
import { administerKeys, appFolder, quietWrangler, workerSecrets } from "../runtimes/workerd-launcher.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const deviceId = "device-behind-worker";
let folder: string;
let upstream: LaunchedProxy;
let device: LaunchedDevice;
let upstreamKey: string;
let worker: LaunchedProcess;
let url: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "letta-worker-"));
  upstream = await launchProxy();
  const deviceKey = await upstream.createKey({ scopes: ["connect"] });
  upstreamKey = await upstream.createKey({ scopes: ["list", "read", "send"] });
  device = await launchDevice({ baseUrl: upstream.url, apiKey: deviceKey, deviceId, connectionName: "box" });
  await upstream.process.waitForOutput(/"event":"device_connected"/);
  await startWorker();
});
afterAll(async () => {
  await worker?.stop();
  await device?.kill();
  await upstream?.stop();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

async function startWorker(upstreamUrl: string = upstream.url): Promise<void> {
  const wrangler = join(dirname(createRequire(import.meta.url).resolve("wrangler/package.json")), "bin/wrangler.js");
  const secrets = { ...workerSecrets, LETTA_API_KEY: upstreamKey };
  const envFile = join(folder, "secrets.env");
  await writeFile(
    envFile,
    Object.entries(secrets)
      .map(([name, value]) => `${name}="${value}"\n`)
      .join(""),
  );
  worker = launchProcess({
    command: process.execPath,
    args: [
      wrangler,
      ...["dev", "--port", "0", "--inspector-port", "0", "--ip", "127.0.0.1", "--persist-to", join(folder, "state")],
      ...["--var", `UPSTREAM_URL:${upstreamUrl}`, "--env-file", envFile],
      ...[
        "--var",
        `PROXY_CONFIG:${JSON.stringify({ rateLimits: { policies: { daily: { per: ["key"], limit: 100, windowMs: 86_400_000 } } } })}`,
      ],
    ],
    cwd: appFolder,
    env: { HOME: folder, CI: "true", ...quietWrangler },
  });
  const [, ready = ""] = await worker.waitForOutput(/Ready on (http:\/\/[^\s]+)/, 60_000);
  url = ready;
}

function left(headers: Headers): number {
  return Number(/;r=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1]);
}

test("the official SDK lists, reads and sends through the Worker, and the device accepts the message", async () => {
  const { key } = await administerKeys(url).createKey({ scopes: ["list", "read", "send"] });
  const sdk = new Letta({ baseURL: url, apiKey: key });
  const { connections } = await sdk.environments.list({ onlineOnly: "true" });
  expect(connections).toMatchObject([{ deviceId, connectionName: "box" }]);
  const { connectionId } = await sdk.environments.retrieve(deviceId);
  const body = {
    agentId: demoAgentId,
    messages: [{ role: "user" as const, content: "ping", client_message_id: "through-a-worker" }],
  };
  expect(await sdk.environments.sendMessage(connectionId ?? "", body)).toMatchObject({ success: true });
  const refused: unknown = await new Letta({ baseURL: url, apiKey: upstreamKey }).environments
    .list()
    .catch((cause: unknown) => cause);
  expect(refused).toBeInstanceOf(Letta.AuthenticationError);
});

test("keys, revocations and rate limits survive a kill and restart of the Worker", async () => {
  const keys = administerKeys(url);
  const [good, ended] = [await keys.createKey({ scopes: ["list"] }), await keys.createKey({ scopes: ["list"] })];
  await keys.revokeKey(ended.id);
  await ask(url, "/v1/environments", { key: good.key });
  const before = await ask(url, "/v1/environments", { key: good.key });
  await worker.stop("SIGKILL");
  await startWorker();
  const after = await ask(url, "/v1/environments", { key: good.key });
  expect([after.status, left(after.headers)]).toEqual([200, left(before.headers) - 1]);
  expect((await ask(url, "/v1/environments", { key: ended.key })).status).toBe(401);
});

test("the result of a send survives a kill and restart of the Worker, and a repeat receives it without the upstream", async () => {
  const { key } = await administerKeys(url).createKey({ scopes: ["list", "read", "send"] });
  const { json } = await ask(url, `/v1/environments/${deviceId}`, { key });
  const messages = [{ role: "user", content: "ping", client_message_id: "before-the-kill" }];
  const send = (): ReturnType<typeof ask> =>
    ask(url, `/v1/environments/${String(json["connectionId"])}/messages`, {
      key,
      body: JSON.stringify({ agentId: demoAgentId, messages }),
    });
  const sent = await send();
  expect([sent.status, sent.headers.get("idempotency-replayed")]).toEqual([200, null]);
  await worker.stop("SIGKILL");
  // Nothing listens there.
  await startWorker("http://127.0.0.1:9");
  const repeated = await send();
  expect([repeated.status, repeated.headers.get("idempotency-replayed")]).toEqual([200, "true"]);
  expect(repeated.json).toEqual(sent.json);
});

test("the Worker can be deployed: wrangler accepts its configuration and every module", async () => {
  const wrangler = join(dirname(createRequire(import.meta.url).resolve("wrangler/package.json")), "bin/wrangler.js");
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [wrangler, "deploy", "--dry-run", "--outdir", join(folder, "upload")],
    { cwd: appFolder, env: { PATH: process.env["PATH"] ?? "", HOME: folder, ...quietWrangler } },
  );
  expect(stdout).toMatch(/Total Upload: .* gzip: /);
  expect(stdout).toContain("env.KEYS (KeyObject)");
  expect(stdout).toContain("env.TENANTS (TenantObject)");
});
