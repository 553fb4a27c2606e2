/** Configured tenants and authentication methods, in separate processes. */
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Problem } from "@letta-environments/schema";
import { createFakeUpstream, launchProxy, runLettaProxy } from "@letta-environments/testkit";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createTestIssuer, testJwtSettings } from "./support/test-issuer.ts";

vi.setConfig({ testTimeout: 60_000 });

let folder = "";
let config = "";
const closers: (() => unknown)[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "letta-proxy-"));
  config = join(folder, "proxy.config.json");
});
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  await rm(folder, { recursive: true, force: true });
});

function run(words: readonly string[]): Promise<string> {
  const shared = ["--config", config, "--data-dir", join(folder, "data")];
  return runLettaProxy([...words, ...shared]).then(
    ({ stdout }) => stdout,
    (error: { readonly stderr: string }) => error.stderr,
  );
}

const upstream = { url: "https://api.example" };

test("config check reports every error with its path, shows no secret and creates no data directory", async () => {
  await writeFile(config, JSON.stringify({ upstream: { ...upstream, apiKey: "hunter2" }, cors: { origins: [] } }));
  const said = await run(["config", "check"]);
  expect(said).toContain("upstream.apiKey is not a setting");
  expect(said).toContain("cors.origins must not be empty");
  expect(said).not.toContain("hunter2");
  expect(await readdir(folder)).toEqual(["proxy.config.json"]);
});

test("config check refuses a data directory that a start refuses, and creates or changes nothing", async () => {
  await writeFile(config, "{}");
  const [file, shared, free] = [join(folder, "file"), join(folder, "shared"), join(folder, "new", "deep")];
  await writeFile(file, "");
  await mkdir(shared);
  await chmod(shared, 0o777);
  const refused = [
    [file, "this is a file; pass a directory"],
    [join(file, "below"), `${file} is a file`],
    [shared, "every user can write to the data directory; use a private one"],
    ...(process.platform === "linux" ? [["/proc/letta", "the system does not allow new directories there"]] : []),
  ] as const;
  for (const [dataDir, reason] of refused) {
    const check = runLettaProxy(["config", "check", "--config", config, "--data-dir", dataDir]);
    const stderr = `letta-proxy: the data directory ${dataDir}: ${reason}\n`;
    await expect(check).rejects.toMatchObject({ code: 1, stderr });
  }
  await chmod(shared, 0o755);
  for (const dataDir of [shared, free]) {
    const { stdout } = await runLettaProxy(["config", "check", "--config", config, "--data-dir", dataDir]);
    expect(stdout).toContain("The configuration is valid");
  }
  expect((await readdir(folder, { recursive: true })).toSorted()).toEqual(["file", "proxy.config.json", "shared"]);
  expect((await stat(shared)).mode & 0o777).toBe(0o755);
});

test("tenants that share a credential without allowlists are refused by config check and at the start", async () => {
  await writeFile(config, JSON.stringify({ upstream }));
  await run(["keys", "create", "--name", "a", "--tenant", "t1"]);
  expect(await run(["config", "check"])).toContain("The configuration is valid");
  // In front of the embedded server tenants share nothing.
  await writeFile(config, "{}");
  await run(["keys", "create", "--name", "b", "--tenant", "t2"]);
  await writeFile(config, JSON.stringify({ upstream }));
  for (const words of [
    ["config", "check"],
    ["start", "--port", "0", "--log", "json"],
  ]) {
    const said = await run(words);
    expect(said).toContain("tenants.t1 shares its upstream credential with tenant 't2'");
    expect(said).toContain("tenants.t2 ");
  }
  const tenants = { t1: { deviceIds: ["d1"] }, t2: { connectionNames: ["lab-*"] } };
  await writeFile(config, JSON.stringify({ upstream, tenants }));
  expect(await run(["config", "check"])).toContain("The configuration is valid");
});

test("keys create refuses a key whose tenant would share a credential, with the message of config check, and stores nothing", async () => {
  await writeFile(config, JSON.stringify({ upstream }));
  await run(["keys", "create", "--name", "a", "--tenant", "t1"]);
  const said = await run(["keys", "create", "--name", "b", "--tenant", "t2"]);
  expect(said).toMatch(
    /^letta-proxy: tenants\.t1 shares its upstream credential with tenant 't2': give it one of its own/,
  );
  expect(said).toContain("\nletta-proxy: tenants.t2 shares its upstream credential with tenant 't1'");
  expect(await run(["keys", "list"])).not.toContain("t2");
  expect(await run(["config", "check"])).toContain("The configuration is valid");
  // One more key of the same tenant, and one that calls nothing, share nothing new.
  expect(await run(["keys", "create", "--name", "c", "--tenant", "t1"])).toMatch(/^lek_/);
  expect(await run(["keys", "create", "--name", "d", "--tenant", "t2", "--scope", "admin"])).toMatch(/^lek_/);
});

test("the operator cannot create a key over HTTP, or add scopes to one, whose tenant would share a credential", async () => {
  await writeFile(config, JSON.stringify({ upstream, admin: { port: 0 } }));
  const token = "operators-token-0123456789abcdef0123";
  const data = join(folder, "data");
  const proxy = await launchProxy({ dataDir: data, env: { ADMIN_TOKEN: token }, args: ["--config", config] });
  closers.push(() => proxy.stop());
  const [, adminUrl = ""] = await proxy.process.waitForOutput(/"event":"admin_listening","url":"([^"]+)"/);
  const ask = async (path: string, method: string, body: unknown, bearer = token) => {
    const headers = { authorization: `Bearer ${bearer}`, "content-type": "application/json" };
    const response = await fetch(`${adminUrl}/admin/v1/keys${path}`, { method, headers, body: JSON.stringify(body) });
    const answer = (await response.json()) as Partial<Problem> & { readonly id: string; readonly key: string };
    return { status: response.status, ...answer };
  };
  expect((await ask("", "POST", { name: "a", tenant: "t1" })).status).toBe(201);
  const refused = await ask("", "POST", { name: "b", tenant: "t2" });
  expect([refused.status, refused.errorCode]).toEqual([403, "tenant_not_configured"]);
  expect(refused.errors?.[0]).toMatchObject({
    member: "tenant",
    rule: expect.stringMatching(/^tenants\.t1 shares its upstream credential with tenant 't2'/),
  });
  const administrator = await ask("", "POST", { name: "c", tenant: "t2", scopes: ["admin"] });
  expect(administrator.status).toBe(201);
  const widened = await ask(`/${administrator.id}`, "PATCH", { scopes: ["admin", "list"] });
  expect([widened.status, widened.errorCode]).toEqual([403, "tenant_not_configured"]);
  // Whose credential it is, is no business of another tenant's.
  const told = await ask("", "POST", { name: "d", scopes: ["list"] }, administrator.key);
  expect([told.errorCode, JSON.stringify(told).includes("t1")]).toEqual(["tenant_not_configured", false]);
  await writeFile(config, JSON.stringify({ upstream }));
  expect((await run(["keys", "list", "--json"])).match(/"name"/g)).toHaveLength(2);
  expect(await run(["config", "check"])).toContain("The configuration is valid");
});

test("JWTs, CORS origins and credential files of tenants work as configured", async () => {
  const seen: (string | undefined)[] = [];
  const fake = await createFakeUpstream((request, response) => {
    seen.push(request.headers["authorization"]);
    response.writeHead(200, { "content-type": "application/json" }).end('{"connections":[],"hasNextPage":false}');
  });
  const issuer = await createTestIssuer();
  const keys = await issuer.fetchJwks("", new AbortController().signal);
  const server = createServer((_incoming, outgoing) => outgoing.end(keys)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  closers.push(
    () => fake.close(),
    () => server.close(),
  );
  const credentialFile = join(folder, "credential");
  await writeFile(credentialFile, "sk-first\n");
  const { issuer: name, audience, algorithms } = testJwtSettings;
  const jwt = {
    issuer: name,
    audience,
    algorithms,
    jwksUrl: `http://127.0.0.1:${port}/jwks`,
    claims: { tenant: "org" },
  };
  const file = {
    upstream: { url: fake.url },
    auth: { jwt, passThrough: true },
    tenants: { t1: { upstream: { credentialFile } } },
    cors: { origins: ["https://console.example"] },
  };
  await writeFile(config, JSON.stringify(file));
  const proxy = await launchProxy({ dataDir: join(folder, "data"), args: ["--config", config] });
  closers.unshift(() => proxy.stop());

  const ask = (key: string): Promise<Response> =>
    fetch(`${proxy.url}/v1/environments`, {
      headers: { authorization: `Bearer ${key}`, origin: "https://console.example" },
    });
  const token = await issuer.sign(Date.now());
  const answer = await ask(token);
  expect([answer.status, answer.headers.get("access-control-allow-origin")]).toEqual([200, "https://console.example"]);
  const foreign = await issuer.sign(Date.now(), { claims: { org: "t2" } });
  expect((await ask(foreign)).status).toBe(403);
  expect((await ask("sk-own")).status).toBe(200);
  await writeFile(credentialFile, "sk-second\n");
  await vi.waitFor(
    async () => {
      await ask(token);
      expect(seen.at(-1)).toBe("Bearer sk-second");
    },
    { timeout: 10_000, interval: 200 },
  );
  expect(seen.slice(0, 2)).toEqual(["Bearer sk-first", "Bearer sk-own"]);
  await proxy.process.stop();
  for (const secret of [token, "sk-first", "sk-second", "sk-own"]) expect(proxy.process.output()).not.toContain(secret);
});
