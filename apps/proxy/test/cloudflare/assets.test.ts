/** The static files that the platform serves in front of a Worker: the pages of `/docs`, and the console where it is deployed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createFakeUpstream, type FakeUpstream } from "@letta-environments/testkit";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { TestHarness } from "wrangler";
import { type Asset, consoleAssets, docsAssets } from "../../scripts/worker-assets.ts";
import { createConsoleFiles } from "../../src/adapters/node/static-files.ts";
import { builtArtefact } from "../runtimes/built-artefact.ts";
import { ask } from "../runtimes/use-gateway.ts";
import { administerKeys, appFolder, launchWorker } from "../runtimes/workerd-launcher.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });

interface RunningWorker {
  readonly server: TestHarness;
  readonly url: string;
}
let upstream: FakeUpstream;
let plain: RunningWorker;
let withConsole: RunningWorker;

beforeAll(async () => {
  upstream = await createFakeUpstream((_request, response) => {
    response.writeHead(200, { "content-type": "application/json" }).end('{"connections":[],"hasNextPage":false}');
  });
  const variables = { UPSTREAM_URL: upstream.url };
  plain = await launchWorker(variables);
  withConsole = await launchWorker(variables, { withConsole: true });
});
afterAll(async () => {
  await plain?.server.close();
  await withConsole?.server.close();
  await upstream?.close();
});

/** The differences of all assets. */
async function differences(url: string, assets: readonly Asset[]): Promise<readonly unknown[]> {
  const found = await Promise.all(assets.map((asset) => difference(url, asset)));
  return found.filter((each) => each !== null);
}

/** The difference between what the platform serves at the path of an asset and what the gateway serves there on other runtimes. */
async function difference(url: string, { path, bytes, headers }: Asset): Promise<unknown> {
  const response = await ask(url, path);
  const expected = typeof bytes === "string" ? bytes : new TextDecoder().decode(bytes);
  const other = Object.entries(headers).filter(([name, value]) => response.headers.get(name) !== value);
  const found = other.map(([name]) => [name, response.headers.get(name)]);
  return response.status === 200 && response.text === expected && found.length === 0
    ? null
    : { path, status: response.status, isSame: response.text === expected, found };
}

test("the pages of /docs are the same on both Workers as on other runtimes, with the same policy and caching", async () => {
  const assets = await docsAssets();
  for (const { url } of [plain, withConsole]) expect(await differences(url, assets)).toEqual([]);
  const page = await ask(plain.url, "/docs/problems/overloaded");
  expect([page.headers.get("content-type"), page.headers.get("content-security-policy")]).toEqual([
    "text/html; charset=utf-8",
    expect.stringMatching(/^default-src 'none'; .*frame-ancestors 'none'; require-trusted-types-for 'script'/),
  ]);
  expect(page.headers.get("cache-control")).toBe("private, no-cache");
});

test("the files of the console are the same on Workers as on other runtimes, with the same policy and caching", async () => {
  const folder = builtArtefact("console");
  const assets = await consoleAssets(folder, createConsoleFiles(folder));
  expect(assets.length).toBeGreaterThan(5);
  expect(await differences(withConsole.url, assets)).toEqual([]);
  const page = await ask(withConsole.url, "/console/");
  expect(page.headers.get("cache-control")).toBe("no-cache");
  const [, script = ""] = /src="(main-[^"]+\.js)"/.exec(page.text) ?? [];
  const loaded = await ask(withConsole.url, `/console/${script}`);
  expect([loaded.headers.get("content-type"), loaded.headers.get("cache-control")]).toEqual([
    "text/javascript; charset=utf-8",
    "public, max-age=31536000, immutable",
  ]);
  const again = await ask(withConsole.url, "/console/", {
    headers: { "if-none-match": page.headers.get("etag") ?? "" },
  });
  expect([again.status, again.headers.get("x-frame-options")]).toEqual([304, "DENY"]);
});

test("static files accept only reads, and a folder path redirects to its page", async () => {
  expect((await ask(withConsole.url, "/console/", { method: "POST" })).status).toBe(405);
  expect((await ask(plain.url, "/docs", { method: "DELETE" })).status).toBe(405);
  const folder = await ask(withConsole.url, "/console");
  expect([folder.status, folder.headers.get("location")]).toEqual([307, "/console/"]);
});

test("a browser at / is redirected to the console, or to the API pages if the Worker has no console", async () => {
  const headers = { accept: "text/html,*/*;q=0.8" };
  const found = await Promise.all([withConsole, plain].map(({ url }) => ask(url, "/", { headers })));
  expect(found.map(({ status, headers: own }) => [status, own.get("location")])).toEqual([
    [307, "console/"],
    [307, "docs"],
  ]);
});

describe.each([
  ["without the console", () => plain, ["/console/", "/console", "/console/session"]],
  ["with the console", () => withConsole, []],
] as const)("on the Worker %s", (_name, worker, missing) => {
  test("a path that is not a file reaches the gateway, whatever it looks like", async () => {
    const others = [
      "/",
      "/docs/nothing",
      "/docs/problems/nothing",
      "/docs/problems/__proto__",
      "/docs/..%2fopenapi.json",
      "/console/none.js",
      "/console/..%2f_headers",
      "/_headers",
      "/console/_headers",
      "/%E0%A4%A",
      "/docs%00",
    ];
    for (const path of [...others, ...missing]) {
      const { status, json, headers } = await ask(worker().url, path);
      expect({ path, status, code: json["errorCode"] }).toEqual({ path, status: 404, code: "endpoint_not_found" });
      expect(headers.get("x-request-id")).toMatch(/^req-/);
    }
  });

  test("no alternative spelling of an API path bypasses authentication", async () => {
    const { key } = await administerKeys(worker().url).createKey({ scopes: ["list"] });
    expect((await ask(worker().url, "/v1/environments", { key })).status).toBe(200);
    for (const path of ["/v1/environments", "/%761/environments", "//v1/environments", "/docs/../v1/environments"]) {
      expect([path, [401, 404]]).toEqual([path, expect.arrayContaining([(await ask(worker().url, path)).status])]);
    }
    expect((await ask(worker().url, "/admin/v1/keys")).status).toBe(401);
    expect((await ask(worker().url, "/openapi.json")).headers.get("cache-control")).toBe("public, max-age=300");
  });
});

test("the two configurations deploy the same Worker and differ only in its code and static files", () => {
  const [one, other] = ["wrangler.jsonc", "wrangler.console.jsonc"].map((name) => {
    const text = readFileSync(join(appFolder, name), "utf8").replaceAll(/^\s*\/\/.*$/gm, "");
    return text.replaceAll(/\/worker-console(?=[/"-])/g, "/worker").replaceAll(/\s+/g, "");
  });
  expect(other).toBe(one);
  expect(one).toContain('"new_sqlite_classes":["TenantObject"]');
});
