/** The platform may keep an isolate when only bindings change, so an isolate can serve requests with different bindings. */
import { beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { workerSecrets } from "../runtimes/workerd-launcher.ts";
import { type FakeIsolate, startFakeIsolate } from "./fake-isolate.ts";

vi.mock("cloudflare:workers", async () => (await import("./fake-isolate.ts")).workersModule);

const operator = { authorization: `Bearer ${workerSecrets.ADMIN_TOKEN}`, "content-type": "application/json" };
const page = "https://page.example";
const config = { cors: { origins: [page] } };

type Bindings = Readonly<Record<string, unknown>>;

const credentials: (string | null)[] = [];
let isolate: FakeIsolate;

beforeAll(async () => {
  isolate = await startFakeIsolate(({ headers }) => {
    credentials.push(headers.get("authorization"));
    return Response.json({ connections: [], hasNextPage: false });
  });
}, 60_000);

async function createKey(): Promise<string> {
  const body = JSON.stringify({ name: "bindings", scopes: ["list"] });
  const created = await isolate.fetch("/admin/v1/keys", { method: "POST", headers: operator, body });
  return ((await created.json()) as { readonly key: string }).key;
}

async function listKeys(changed: Bindings): Promise<number> {
  return (await isolate.fetch("/admin/v1/keys", { headers: operator }, changed)).status;
}

async function allowedOrigin(changed: Bindings): Promise<string | null> {
  const { headers } = await isolate.fetch("/v1/environments", { headers: { origin: page } }, changed);
  return headers.get("access-control-allow-origin");
}

test("a deleted or replaced operator's token is refused, and the new one is accepted", async () => {
  expect(await listKeys({})).toBe(200);
  expect(await listKeys({ ADMIN_TOKEN: undefined })).toBe(401);
  expect(await listKeys({ ADMIN_TOKEN: "n".repeat(40) })).toBe(401);
  expect(await listKeys({})).toBe(200);
});

test("requests to the upstream use a changed credential", async () => {
  const headers = { authorization: `Bearer ${await createKey()}` };
  credentials.length = 0;
  await isolate.fetch("/v1/environments?limit=1", { headers });
  const changed = { LETTA_API_KEY: "sk-changed" };
  expect((await isolate.fetch("/v1/environments?limit=2", { headers }, changed)).status).toBe(200);
  expect(credentials).toEqual([`Bearer ${workerSecrets.LETTA_API_KEY}`, "Bearer sk-changed"]);
});

test("no key is valid after the pepper has changed", async () => {
  const headers = { authorization: `Bearer ${await createKey()}` };
  expect((await isolate.fetch("/v1/environments", { headers })).status).toBe(200);
  expect((await isolate.fetch("/v1/environments", { headers }, { KEY_PEPPER: "n".repeat(40) })).status).toBe(401);
});

test("a changed configuration takes effect, as text and as an object", async () => {
  expect(await allowedOrigin({})).toBeNull();
  for (const PROXY_CONFIG of [config, JSON.stringify(config)]) {
    expect(await allowedOrigin({ PROXY_CONFIG })).toBe(page);
    expect(await allowedOrigin({ PROXY_CONFIG: {} })).toBeNull();
  }
});

test("changed bindings that break a rule stop the gateway, and corrected ones start it again", async () => {
  expect(await listKeys({})).toBe(200);
  expect(await listKeys({ UPSTREAM_URL: "ftp://upstream.example" })).toBe(500);
  expect(await listKeys({})).toBe(200);
});

test("new but equal binding objects for each request change nothing", async () => {
  const headers = { authorization: `Bearer ${await createKey()}` };
  const read = async (): Promise<unknown> => {
    expect((await isolate.fetch("/v1/environments", { headers }, { PROXY_CONFIG: {}, ASSETS: {} })).status).toBe(200);
    return isolate.takeCalls();
  };
  await read();
  expect(await read()).not.toHaveProperty("KEYS.find");
});

test("two versions that are deployed at the same time each have their own gateway, which keeps its state", async () => {
  const headers = { authorization: `Bearer ${await createKey()}` };
  const read = async (changed: Bindings): Promise<unknown> => {
    expect((await isolate.fetch("/v1/environments", { headers }, changed)).status).toBe(200);
    return isolate.takeCalls();
  };
  for (const changed of [{}, { ADMIN_TOKEN: undefined }]) await read(changed);
  for (const changed of [{}, { ADMIN_TOKEN: undefined }]) expect(await read(changed)).not.toHaveProperty("KEYS.find");
});

test("a Worker whose pepper matches no key is not ready and logs the reason; one whose pepper matches reads the keys once", async () => {
  const written = vi.spyOn(console, "log").mockReturnValue();
  onTestFinished(() => written.mockRestore());
  const ready = async (changed: Bindings = {}): Promise<readonly unknown[]> => {
    const response = await isolate.fetch("/readyz?verbose", {}, changed);
    return [response.status, await response.text()];
  };
  await createKey();
  const log = (): string => written.mock.calls.join("\n");
  expect(await ready({ KEY_PEPPER: "w".repeat(40) })).toEqual([503, expect.stringContaining("[-]keys failed")]);
  expect(log()).toContain("KEY_PEPPER is not the pepper of the stored keys");
  expect(log()).not.toContain("wwww");
  expect(await ready()).toEqual([200, expect.stringContaining("[+]keys ok")]);
  await isolate.takeCalls();
  expect((await ready())[0]).toBe(200);
  expect(await isolate.takeCalls()).toEqual({});
});

test("behind one proxy, the client's address is the entry that the proxy appended, and never an entry that the client sent", async () => {
  const [own, appended, peer] = ["198.51.100.1", "192.0.2.1", "203.0.113.9"];
  const authorization = `Bearer ${await createKey()}`;
  const policies = { address: { per: ["address"], limit: 2, windowMs: 60_000 } };
  const changed = { PROXY_CONFIG: { rateLimits: { trustedHops: 1, policies } } };
  const list = async (...hops: readonly string[]): Promise<number> => {
    const headers = { authorization, "cf-connecting-ip": peer, "x-forwarded-for": hops.join(", ") };
    return (await isolate.fetch("/v1/environments", { headers }, changed)).status;
  };
  expect([await list(appended, peer), await list(own, appended), await list(own, appended, peer)]).toEqual([
    200, 200, 429,
  ]);
  for (const other of ["192.0.2.2", "192.0.2.3", "192.0.2.4"]) expect(await list(other, peer)).toBe(200);
  expect([await list(peer), await list(peer), await list(peer)]).toEqual([200, 200, 429]);
});
