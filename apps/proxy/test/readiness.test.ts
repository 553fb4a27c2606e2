/** `/readyz` of a running gateway: a full disk, damaged files, a Valkey server that is away, and the time after SIGTERM. */
import { chmod, mkdir, mkdtemp, open, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { launchProxy, type LaunchedProxy, launchValkey } from "@letta-environments/testkit";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

// Every test starts a process, on a machine that may be busy with others.
vi.setConfig({ testTimeout: 60_000 });

let dataDir = "";
const proxies: LaunchedProxy[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "letta-readiness-"));
});

afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.stop();
  await rm(dataDir, { recursive: true, force: true });
});

async function start(config: unknown = {}, env: Record<string, string> = {}): Promise<LaunchedProxy> {
  const file = join(dataDir, "proxy.config.json");
  await writeFile(file, JSON.stringify(config));
  const proxy = await launchProxy({ dataDir, env, args: ["--config", file] });
  proxies.push(proxy);
  return proxy;
}

async function readyz({ url }: LaunchedProxy): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(`${url}/readyz?verbose`);
  return { status: response.status, text: await response.text() };
}

/** Polls until the line of a check has this value. */
async function untilSays(proxy: LaunchedProxy, line: string): Promise<number> {
  for (;;) {
    const { status, text } = await readyz(proxy);
    if (text.includes(line)) return status;
    await delay(20);
  }
}

const allOk = ["disk", "keys", "audit", "devices", "shutdown"].map((name) => `[+]${name} ok\n`).join("");

test("a working gateway is ready, the probe leaves no file behind, and no health path needs a key", async () => {
  const proxy = await start();
  expect(await readyz(proxy)).toEqual({ status: 200, text: `${allOk}readyz check passed\n` });
  expect((await fetch(`${proxy.url}/readyz`)).status).toBe(200);
  expect(await readdir(dataDir)).not.toContain(".readiness");
});

test("a database file that was overwritten or moved makes the gateway unready while it still lives, and the log has the cause", async () => {
  const proxy = await start();
  await untilSays(proxy, "[+]devices ok");
  const path = join(dataDir, "environments.sqlite");
  const file = await open(path, "r+");
  await file.write(new Uint8Array(100).fill(7), 0, 100, 0);
  await file.close();
  expect(await untilSays(proxy, "[-]devices failed")).toBe(503);
  const plain = await fetch(`${proxy.url}/readyz`);
  expect(await plain.json()).toMatchObject({ errorCode: "not_ready", detail: "These checks fail: devices." });
  expect((await fetch(`${proxy.url}/livez`)).status).toBe(200);
  const [line] = await proxy.process.waitForOutput(/.*readiness_failed.*/);
  expect(JSON.parse(line)).toMatchObject({ check: "devices", cause: expect.stringContaining("environments.sqlite") });
  const audit = join(dataDir, "audit.sqlite");
  await rename(audit, `${audit}.moved`);
  await untilSays(proxy, "[-]audit failed");
  await rename(`${audit}.moved`, audit);
  await untilSays(proxy, "[+]audit ok");
});

test("an unwritable data directory makes the gateway unready, and it recovers without a restart", async () => {
  const proxy = await start();
  await untilSays(proxy, "[+]disk ok");
  const blocker = join(dataDir, ".readiness");
  // Nobody can create the probe's file where a directory is, not even root.
  await mkdir(blocker);
  expect(await untilSays(proxy, "[-]disk failed")).toBe(503);
  await chmod(blocker, 0o700);
  await rm(blocker, { recursive: true });
  expect(await untilSays(proxy, "[+]disk ok")).toBe(200);
  await proxy.process.waitForOutput(/readiness_recovered/);
});

test("keys in Valkey are part of readiness: unready while the server is down, ready when it is back", async () => {
  const valkey = await launchValkey();
  const proxy = await start({}, { VALKEY_URL: valkey.url, KEY_PEPPER: "p".repeat(32) });
  await untilSays(proxy, "[+]keys ok");
  await valkey.stop();
  expect(await untilSays(proxy, "[-]keys failed")).toBe(503);
});

test("after SIGTERM /readyz is 503 and requests are still accepted for the configured time, then the process ends", async () => {
  // Long enough for four requests on a busy machine.
  const readinessDelayMs = 4_000;
  const proxy = await start({ shutdown: { readinessDelayMs } });
  const key = await proxy.createKey({ scopes: ["list"] });
  const signalledAt = performance.now();
  const stopping = proxy.process.stop("SIGTERM");
  await untilSays(proxy, "[-]shutdown failed");
  expect(await (await fetch(`${proxy.url}/readyz`)).json()).toMatchObject({ errorCode: "shutting_down" });
  expect((await fetch(`${proxy.url}/livez`)).status).toBe(200);
  const list = await fetch(`${proxy.url}/v1/environments`, { headers: { authorization: `Bearer ${key}` } });
  expect(list.status).toBe(200);
  expect(await stopping).toEqual({ code: 0, signal: null });
  expect(performance.now() - signalledAt).toBeGreaterThan(readinessDelayMs - 100);
});

test("SIGINT, as from a terminal, stops the gateway without that delay", async () => {
  const proxy = await start({ shutdown: { readinessDelayMs: 30_000 } });
  const { code } = await proxy.process.stop("SIGINT");
  expect(code).toBe(0);
});
