/** The administration as an operator uses it: a separate process, real sockets, and the command line on the same data. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectScriptedDevice, launchProxy, type LaunchedProxy, runLettaProxy } from "@letta-environments/testkit";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { ShownKey } from "../src/keys/key-view.ts";
import { openSocket, readToEnd, requestHead, sendRaw } from "./support/raw-http.ts";

vi.setConfig({ testTimeout: 60_000 });

const token = "operators-token-0123456789abcdef0123";
let dataDir = "";
const proxies: LaunchedProxy[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "letta-proxy-"));
});

afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.stop();
  await rm(dataDir, { recursive: true, force: true });
});

async function start(config: unknown = {}, env: Record<string, string> = {}): Promise<LaunchedProxy> {
  const file = join(dataDir, "config.json");
  await writeFile(file, JSON.stringify(config));
  const proxy = await launchProxy({ dataDir, env, args: ["--config", file] });
  proxies.push(proxy);
  return proxy;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: ShownKey & { readonly key: string; readonly keys: ShownKey[]; readonly errorCode: string };
}

async function ask(url: string, key: string, path: string, method = "GET", body?: unknown): Promise<Answer> {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body !== undefined && { "content-type": "application/json" }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Answer["body"] };
}

async function listStatus(url: string, key: string): Promise<number> {
  return (await ask(url, key, "/v1/environments")).status;
}

test("a key is created, used, rotated with an overlap and revoked, and each change takes effect with its response", async () => {
  const { url, createKey, process } = await start();
  const admin = await createKey({ scopes: ["admin"] });
  const made = await ask(url, admin, "/admin/v1/keys", "POST", { name: "ci" });
  expect([made.status, made.headers.get("cache-control")]).toEqual([201, "private, no-store, no-transform"]);
  const path = made.headers.get("location") ?? "";
  expect(await listStatus(url, made.body.key)).toBe(200);

  const rotated = await ask(url, admin, `${path}/rotate`, "POST");
  expect([await listStatus(url, made.body.key), await listStatus(url, rotated.body.key)]).toEqual([200, 200]);
  const again = await ask(url, admin, `${path}/rotate`, "POST", { overlapMs: 0 });
  expect([await listStatus(url, made.body.key), await listStatus(url, rotated.body.key)]).toEqual([401, 401]);

  expect((await ask(url, admin, path, "PATCH", { disabled: true })).body.state).toBe("disabled");
  expect(await listStatus(url, again.body.key)).toBe(401);
  expect((await ask(url, admin, path, "PATCH", { disabled: false })).body.state).toBe("active");
  expect(await listStatus(url, again.body.key)).toBe(200);
  expect((await ask(url, admin, `${path}/revoke`, "POST")).body.state).toBe("revoked");
  expect(await listStatus(url, again.body.key)).toBe(401);
  expect(process.output()).not.toMatch(/lek_/);
});

test("a device socket is closed when its key is disabled, and when the key no longer allows the device", async () => {
  const { url, createKey } = await start();
  const admin = await createKey({ scopes: ["admin"] });
  const changes = [{ disabled: true }, { deviceIds: ["another-device"] }, { scopes: ["list"] }];
  for (const [index, change] of changes.entries()) {
    const made = (await ask(url, admin, "/admin/v1/keys", "POST", { name: "d", scopes: ["connect"] })).body;
    const device = await connectScriptedDevice({ baseUrl: url, apiKey: made.key, deviceId: `device-${index}` });
    expect((await ask(url, admin, `/admin/v1/keys/${made.id}`, "PATCH", change)).status).toBe(200);
    expect(await device.closed).toBe(1008);
  }
});

test("the command line and HTTP see the same keys and each other's changes", async () => {
  const { url, createKey } = await start();
  const admin = await createKey({ scopes: ["admin"] });
  const byCommand = (await createKey({ scopes: ["list"] })).slice(4, 16);
  const byHttp = (await ask(url, admin, "/admin/v1/keys", "POST", { name: "n", deviceIds: ["d"] })).body;
  const listed = async (): Promise<ShownKey[]> =>
    JSON.parse((await runLettaProxy(["keys", "list", "--json", "--data-dir", dataDir])).stdout) as ShownKey[];

  const { keys } = (await ask(url, admin, "/admin/v1/keys")).body;
  expect(keys.map(({ id }) => id)).toEqual([admin.slice(4, 16), byCommand, byHttp.id]);
  const withoutUse = (shown: readonly ShownKey[]): unknown => shown.map((one) => ({ ...one, lastUsedAt: null }));
  expect(withoutUse(await listed())).toEqual(withoutUse(keys));

  await runLettaProxy(["keys", "revoke", byHttp.id, "--data-dir", dataDir]);
  expect((await ask(url, admin, `/admin/v1/keys/${byHttp.id}`)).body.state).toBe("revoked");
  await ask(url, admin, `/admin/v1/keys/${byCommand}`, "PATCH", { disabled: true });
  expect((await listed()).map(({ state }) => state)).toEqual(["active", "disabled", "revoked"]);
  await runLettaProxy(["keys", "revoke", admin.slice(4, 16), "--data-dir", dataDir]);
  expect((await ask(url, admin, "/admin/v1/keys", "POST", { name: "late" })).status).toBe(401);
});

test("a separate administration listener serves the administration and its liveness alone, and the main listener does not", async () => {
  const proxy = await start({ admin: { port: 0 } }, { ADMIN_TOKEN: token });
  const [, adminUrl = ""] = await proxy.process.waitForOutput(/"event":"admin_listening","url":"([^"]+)"/);
  const made = await ask(adminUrl, token, "/admin/v1/keys", "POST", { name: "n", tenant: "acme", scopes: ["list"] });
  expect([made.status, made.body.tenant]).toEqual([201, "acme"]);
  expect(await listStatus(proxy.url, made.body.key)).toBe(200);
  expect((await fetch(`${adminUrl}/livez`)).status).toBe(200);
  for (const path of ["/readyz", "/v1/environments", "/"]) {
    expect((await ask(adminUrl, made.body.key, path)).body.errorCode).toBe("endpoint_not_found");
  }
  expect((await ask(proxy.url, token, "/admin/v1/keys")).body.errorCode).toBe("endpoint_not_found");

  const authorization = `Bearer ${token}`;
  const rebound = await sendRaw(
    adminUrl,
    requestHead("GET", "/admin/v1/keys", { authorization, host: "evil.example" }),
  );
  expect(rebound.status).toBe(421);
  const own = await sendRaw(adminUrl, requestHead("GET", "/admin/v1/keys", { authorization }));
  expect(own.status).toBe(200);
  const socket = await openSocket(adminUrl);
  const handshake = {
    ...{ connection: "upgrade", upgrade: "websocket", "x-request-id": "upgrade-1" },
    ...{ "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" },
  };
  socket.write(requestHead("GET", "/admin/v1/keys", { authorization, ...handshake }));
  expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 404 /);

  expect(await proxy.process.stop()).toEqual({ code: 0, signal: null });
  // As every request, it has one line in the log.
  expect(proxy.process.output().match(/"requestId":"upgrade-1".*"status":404/g)).toHaveLength(1);
  expect(proxy.process.output()).not.toMatch(new RegExp(`lek_|${token}`));
});

test("a start fails and names the setting when the administration listener or the main port cannot be opened", async () => {
  const running = await start();
  const taken = Number(new URL(running.url).port);
  const file = join(dataDir, "taken.json");
  const startWith = async (admin: unknown, port: number, env: Record<string, string> = {}): Promise<unknown> => {
    await writeFile(file, JSON.stringify({ admin }));
    const words = ["start", "--port", String(port), "--config", file, "--data-dir", join(dataDir, "other")];
    return runLettaProxy(words, env).catch((error: unknown) => error);
  };
  const failed = (text: string): unknown => expect.objectContaining({ code: 1, stderr: expect.stringContaining(text) });
  expect(await startWith({ port: taken }, 0, { ADMIN_TOKEN: token })).toEqual(failed("admin.port"));
  expect(await startWith({ port: 0 }, taken, { ADMIN_TOKEN: token })).toEqual(failed("--port"));
  expect(await startWith({ port: 0 }, 0)).toEqual(failed("ADMIN_TOKEN"));
});
