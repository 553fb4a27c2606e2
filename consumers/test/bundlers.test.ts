/** Bundlers of web pages and servers resolve the packages, and the result runs. */
import { createServer } from "node:http";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import type * as Esbuild from "esbuild";
import type * as Playwright from "playwright-core";
import { expect, inject, test } from "vitest";
import type Webpack from "webpack";
import { createProject } from "../support/project.ts";
import { chromium, nodes, repository, requireTool, vite } from "../support/tools.ts";

const everything = createProject(inject("everything"), inject("installation"));

/** Lists the devices of the package's own fake server. */
const program = (report: string): string => `
import { createTransport, listEnvironments } from "@letta-environments/client";
import { createFakeServer } from "@letta-environments/client/testing";
import { isOnline } from "@letta-environments/schema";
const server = createFakeServer();
server.put({ deviceId: "d-1", connectionName: "build-box" });
server.connect("d-1");
const transport = createTransport({ baseUrl: "https://server.example", apiKey: "key", fetch: server.fetch });
listEnvironments(transport, {}).then(({ connections: [first] }) => {
  ${report}(first.connectionName + " " + isOnline(first, Date.now()));
});
`;

test("a page that Vite builds lists devices in Chromium", async () => {
  everything.write({
    "vite/index.html": '<!doctype html><title>loading</title><script type="module" src="/page.js"></script>',
    "vite/page.js": `const report = (text) => (document.title = text);\n${program("report")}`,
    "vite/vite.config.js": "export default { logLevel: 'error' };",
  });
  const built = await everything.run(nodes.current, [vite, "build", "vite"]);
  expect(built).toMatchObject({ code: 0 });
  const page = await openPage(join(everything.folder, "vite/dist"));
  try {
    expect(await page.title()).toBe("build-box true");
  } finally {
    await page.close();
  }
});

test("a program that esbuild bundles for Node.js runs, from ES modules and from CommonJS", async () => {
  const { build } = createRequire(join(repository, "package.json"))("esbuild") as typeof Esbuild;
  for (const format of ["esm", "cjs"] as const) {
    const outfile = join(everything.folder, `esbuild/${format}.${format === "esm" ? "mjs" : "cjs"}`);
    const contents = format === "esm" ? program("console.log") : toRequire(program("console.log"));
    const stdin = { contents, resolveDir: everything.folder };
    await build({ stdin, bundle: true, format, platform: "node", outfile, logLevel: "error" });
    expect(await everything.run(nodes.current, [outfile])).toEqual({ code: 0, output: "build-box true\n" });
  }
});

test("a program that webpack bundles for Node.js runs, from ES modules and from CommonJS", async () => {
  const webpack = createRequire(join(repository, "consumers/package.json"))("webpack") as typeof Webpack;
  everything.write({
    "webpack/module.mjs": program("console.log"),
    "webpack/common.cjs": toRequire(program("console.log")),
  });
  const entry = { module: "./webpack/module.mjs", common: "./webpack/common.cjs" };
  const path = join(everything.folder, "webpack/dist");
  const output = { path, filename: "[name].cjs" };
  const stats = await new Promise<Webpack.Stats | undefined>((resolve, reject) =>
    webpack({ context: everything.folder, mode: "production", target: "node", entry, output }, (cause, result) =>
      cause ? reject(cause) : resolve(result),
    ),
  );
  expect(stats?.toJson({ all: false, errors: true, warnings: true })).toMatchObject({ errors: [], warnings: [] });
  for (const name of Object.keys(entry)) {
    expect(await everything.run(nodes.current, [join(path, `${name}.cjs`)])).toEqual({
      code: 0,
      output: "build-box true\n",
    });
  }
});

/** The same program as a CommonJS module. */
function toRequire(text: string): string {
  return text.replaceAll(/^import (\{.*?\}) from (".*?");$/gm, "const $1 = require($2);");
}

/** Serves a folder and opens its page in Chromium, once the page has set its title. */
async function openPage(folder: string): Promise<{ title(): Promise<string>; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const file = join(folder, request.url === "/" ? "index.html" : (request.url ?? ""));
    const type = extname(file) === ".js" ? "text/javascript" : "text/html";
    if (existsSync(file)) response.writeHead(200, { "content-type": type }).end(readFileSync(file));
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"];
  const { chromium: launcher } = requireTool("playwright-core") as typeof Playwright;
  const browser = await launcher.launch({ executablePath: chromium, args });
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await page.waitForFunction('document.title !== "loading"');
  return {
    title: () => page.title(),
    async close() {
      await browser.close();
      server.close();
    },
  };
}
