import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cachedFetch } from "../examples/cached-fetch.ts";
import { app } from "../examples/hono.ts";
import { get } from "../examples/plain-values.ts";
import { invalidateUsers, readUser } from "../examples/response-cache.ts";
import { createReverseProxy } from "../examples/reverse-proxy.ts";

const packageFolder = join(import.meta.dirname, "..");
const examples = join(packageFolder, "examples");

let requests = 0;
const server = createServer((_request, response) => {
  requests++;
  response.setHeader("cache-control", "private, max-age=60");
  if (_request.url === "/moved") response.writeHead(302, { location: "/mine" });
  if (_request.url === "/shared") response.setHeader("cache-control", "max-age=60");
  response.end(`response ${requests}`);
});
let origin = "";

beforeAll(async () => {
  await new Promise<void>((done) => void server.listen(0, "127.0.0.1", done));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

test("the README shows every example exactly as it runs here", () => {
  const readme = readFileSync(join(packageFolder, "README.md"), "utf8");
  const shown = [...readme.matchAll(/```ts\n([^]*?)```/g)].map(([, code]) => code);
  const files = readdirSync(examples).map((name) => readFileSync(join(examples, name), "utf8"));
  expect(new Set(shown)).toEqual(new Set(files));
});

test("response-cache.ts returns the stored response until its group is invalidated", async () => {
  let loads = 0;
  const load = (): Promise<Response> => Promise.resolve(Response.json({ loads: ++loads }));
  expect(await (await readUser("1", load)).json()).toEqual({ loads: 1 });
  const stored = await readUser("1", load);
  expect([await stored.json(), stored.headers.get("content-type")]).toEqual([{ loads: 1 }, "application/json"]);
  await invalidateUsers();
  expect(await (await readUser("1", load)).json()).toEqual({ loads: 2 });
});

test("response-cache.ts returns a stored response without a body", async () => {
  for (const status of [204, 205]) {
    const load = (): Promise<Response> => Promise.resolve(new Response(null, { status }));
    for (let index = 0; index < 2; index++)
      expect(await readUser(`without body ${status}`, load)).toMatchObject({ status, body: null });
  }
});

test("hono.ts serves the second request from the cache", async () => {
  const [first, second] = [await app.request("/api/time"), await app.request("/api/time")];
  expect(await second.text()).toBe(await first.text());
  expect(second.headers.get("cache-status")).toMatch(/^my-app; hit; ttl=\d+$/);
});

test("cached-fetch.ts fetches a private response once", async () => {
  const before = requests;
  const first = await cachedFetch(`${origin}/mine`);
  const second = await cachedFetch(new URL("/mine", origin));
  expect([await second.text(), requests]).toEqual([await first.text(), before + 1]);
});

test("cached-fetch.ts follows a redirect that was stored for a caller that does not follow it", async () => {
  expect((await cachedFetch(`${origin}/moved`, { redirect: "manual" })).status).toBe(302);
  expect((await cachedFetch(`${origin}/moved`)).status).toBe(200);
});

test("reverse-proxy.ts fetches a shared response once", async () => {
  const proxy = createReverseProxy(origin);
  const before = requests;
  for (let index = 0; index < 2; index++) {
    const response = await proxy(new Request("https://edge.example/shared"));
    expect([response.status, await response.text()]).toEqual([200, `response ${before + 1}`]);
  }
});

test("plain-values.ts returns a hit without a promise", async () => {
  const response = { status: 200, headers: { "cache-control": "max-age=60" }, body: new Uint8Array(1) };
  await get("tenant-1", "https://api.example/a", () => Promise.resolve(response));
  const hit = get("tenant-1", "https://api.example/a", () => Promise.reject(new Error("not forwarded")));
  expect(hit).toMatchObject({ status: 200, report: { outcome: "hit" } });
});

test("store-contract.ts passes with node --test", async () => {
  const args = ["--test", "--test-reporter=tap", join(examples, "store-contract.ts")];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: packageFolder });
  expect(stdout).toMatch(/# fail 0/);
});
