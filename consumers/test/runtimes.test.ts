/** Deno, Bun and Cloudflare's workerd run programs with the packages, and the gateway. */
import { copyFileSync, existsSync } from "node:fs";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { join } from "node:path";
import { launchProcess } from "../../packages/testkit/src/process.ts";
import { expect, inject, test } from "vitest";
import type * as Wrangler from "wrangler";
import { createProject } from "../support/project.ts";
import { bun, deno, nodes, requireTool } from "../support/tools.ts";

const everything = createProject(inject("everything"), inject("installation"));
const program = `
import { readFile } from "node:fs/promises";
import { createClient } from "@letta-environments/client";
import { createFakeServer } from "@letta-environments/client/testing";
import { isOnline } from "@letta-environments/schema";
import { createEnvironmentServer } from "@letta-environments/environment-server";
import { createGateway } from "@letta-environments/proxy";
const server = createFakeServer();
server.put({ deviceId: "d-1", connectionName: "build-box" });
server.connect("d-1");
const { environments } = createClient({ baseUrl: "https://server.example", apiKey: "key", fetch: server.fetch });
const { connections: [first] } = await environments.list();
const pages = import.meta.resolve("@letta-environments/proxy/docs-pages.json");
const environment = { UPSTREAM_URL: "http://127.0.0.1:1" };
const config = { auth: { passThrough: true } };
const gateway = createGateway({ environment, config, readDocs: () => readFile(new URL(pages), "utf8") });
const [livez, docs] = [await gateway.request("/livez"), await gateway.request("/docs/problems/overloaded")];
console.log(first.connectionName, isOnline(first, Date.now()), typeof createEnvironmentServer, livez.status, docs.status);
`;
const printed = "build-box true function 200 200\n";
const gatewayFile = (runtime: string): string =>
  join(everything.folder, `node_modules/@letta-environments/proxy/dist/${runtime}.js`);

test("Deno runs a program with the installed packages", async () => {
  everything.write({ "deno.mjs": program });
  const args = [
    "run",
    "--no-prompt",
    "--cached-only",
    "--no-lock",
    "--allow-env",
    "--allow-read",
    "--allow-sys",
    "deno.mjs",
  ];
  expect(await everything.run(deno, args)).toEqual({ code: 0, output: printed });
});

test("Bun runs a program with the installed packages, and the environment server with Bun's SQLite", async () => {
  everything.write({
    "bun.mjs": `${program}
      import { openSqlite } from "@letta-environments/environment-server/bun";
      import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
      console.log(typeof createSqliteEnvironmentStore(openSqlite(":memory:")).prune);`,
  });
  expect(await everything.run(bun, ["bun.mjs"])).toEqual({ code: 0, output: `${printed}function\n` });
});

test.each([
  [
    "Deno",
    deno,
    [
      "run",
      "--no-prompt",
      "--allow-net",
      "--allow-env",
      "--allow-sys",
      "--allow-read",
      "--allow-write",
      gatewayFile("deno"),
    ],
  ],
  ["Bun", bun, [gatewayFile("bun")]],
])("the gateway of the package starts on %s", async (name, command, args) => {
  const options = ["start", "--port", "0", "--log", "json", "--data-dir", join(everything.folder, `data-${name}`)];
  const env = { ...everything.environment() };
  const gateway = launchProcess({ command, args: [...args, ...options], cwd: everything.folder, env });
  try {
    const [, url = ""] = await gateway.waitForOutput(/"url":"(http:[^"]+)"/, 60_000);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  } finally {
    await gateway.stop();
  }
});

/** wrangler sends nothing of its own. */
const quiet = { DO_NOT_TRACK: "1", WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false", CI: "1" };
const wrangler = requireTool.resolve("wrangler/package.json").replace("package.json", "bin/wrangler.js");

test("a Worker with the client is bundled by wrangler and runs in workerd", async () => {
  everything.write({
    "worker/index.mjs": `
      import { createClient } from "@letta-environments/client";
      import { createFakeServer } from "@letta-environments/client/testing";
      export default {
        async fetch() {
          const server = createFakeServer();
          server.put({ deviceId: "d-1", connectionName: "build-box" });
          const { environments } = createClient({ baseUrl: "https://server.example", apiKey: "key", fetch: server.fetch });
          return Response.json((await environments.list()).connections.map(({ connectionName }) => connectionName));
        },
      };`,
    "worker/wrangler.json": JSON.stringify({ name: "consumer", main: "index.mjs", compatibility_date: "2026-11-01" }),
  });
  const dryRun = ["deploy", "--dry-run", "--outdir", "dist", "--config", "wrangler.json"];
  const result = await everything.run(
    "sh",
    ["-c", `cd worker && exec "$@"`, "sh", nodes.current, wrangler, ...dryRun],
    { env: quiet },
  );
  expect(result).toMatchObject({ code: 0 });

  Object.assign(process.env, quiet);
  const { createTestHarness } = (await import(pathToFileURL(requireTool.resolve("wrangler")).href)) as typeof Wrangler;
  const root = join(everything.folder, "worker");
  const workerd = createTestHarness({
    root,
    workers: [{ configPath: "./wrangler.json", prebuiltWorkerDir: "./dist" }],
  });
  try {
    await workerd.listen();
    const response = await workerd.fetch("https://worker.example/");
    expect(await response.json()).toEqual(["build-box"]);
  } finally {
    await workerd.close();
  }
});

test.each(["wrangler.jsonc", "wrangler.console.jsonc"])(
  "the gateway's Worker in the package passes a dry run of its deployment with its %s",
  async (name) => {
    const installed = join(everything.folder, "node_modules/@letta-environments/proxy");
    copyFileSync(join(installed, name), join(everything.folder, "wrangler-source.jsonc"));
    const dryRun = [
      "deploy",
      "--dry-run",
      "--outdir",
      join(everything.folder, `gateway-worker-${name}`),
      "--config",
      join(installed, name),
    ];
    const result = await everything.run(nodes.current, [wrangler, ...dryRun], { env: quiet });
    expect(result).toMatchObject({ code: 0 });
    expect(existsSync(join(everything.folder, `gateway-worker-${name}/cloudflare.js`))).toBe(true);
  },
);
