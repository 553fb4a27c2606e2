/**
 * `pnpm measure-structure [--json]`: measures the sizes, cycles and folder pairs of each package, and how many source files run for a
 * single request. Prints the figures and saves nothing. Needs a Node that runs TypeScript.
 */
import process from "node:process";
import { startCoverage } from "./lib/coverage.mjs";
import { parseModule } from "./lib/parse-module.mjs";
import { isTestFile, readText, repositoryFiles } from "./lib/repository.mjs";
import { findCycles, findFolderPairs, importGraph, summariseLines } from "./lib/structure.mjs";
import { createClient } from "../packages/client/src/index.ts";
import { connectScriptedDevice, createFakeUpstream, launchProxy } from "../packages/testkit/src/index.ts";

const modules = repositoryFiles()
  .filter((path) => /^(?:apps|packages)\/[^/]+\/src\/.*\.ts$/.test(path) && !isTestFile(path))
  .map((path) => parseModule(path, readText(path)));

/** Figures of each package's source folder. Generated files and declaration files count. */
function measurePackages() {
  const packages = Map.groupBy(modules, ({ path }) => path.split("/").slice(0, 2).join("/"));
  return [...packages].map(([name, members]) => {
    const graph = importGraph(members);
    const imported = [...graph.values()].flatMap((targets) => [...targets]);
    return {
      package: name,
      ...summariseLines(members.map(({ lines }) => lines)),
      folderPairs: findFolderPairs(members),
      cycles: findCycles(graph),
      oneImporter: [...graph.keys()].filter((path) => imported.filter((target) => target === path).length === 1).length,
    };
  });
}

/**
 * Runs a request twice and returns the files that ran the second time.
 *
 * @param {() => Promise<unknown>} request
 * @param {() => Promise<readonly string[]>} take
 */
async function filesOf(request, take) {
  await request();
  await take();
  await request();
  return take();
}

/** Starts the gateway with coverage. @param {Readonly<Record<string, string>>} [env] */
async function launchMeasuredProxy(env = {}) {
  const preload = new URL("lib/coverage.mjs", import.meta.url).href;
  const proxy = await launchProxy({ env: { ...env, NODE_OPTIONS: `--import ${preload}` } });
  let taken = 0;
  const take = async () => {
    taken += 1;
    process.kill(proxy.process.pid, "SIGUSR2");
    const [line] = await proxy.process.waitForOutput(new RegExp(`(?:[^]*?covered: .*\\n){${taken}}`));
    return JSON.parse(line.slice(line.lastIndexOf("covered: ") + "covered: ".length));
  };
  return { ...proxy, take };
}

/** The files that run for a cached list in front of a remote upstream: in the gateway, and in the client that requests it. */
async function measureList() {
  const upstream = await createFakeUpstream((_request, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ connections: [], hasNextPage: false }));
  });
  const proxy = await launchMeasuredProxy({ UPSTREAM_URL: upstream.url, LETTA_API_KEY: "upstream-key" });
  try {
    const apiKey = await proxy.createKey({ scopes: ["list"] });
    const client = createClient({ baseUrl: proxy.url, apiKey });
    await client.environments.list();
    const gateway = await filesOf(() => client.environments.list(), proxy.take);
    if (upstream.seen.length !== 1) throw new Error("the measured list did not come from the cache");
    const takeOwn = startCoverage();
    const own = await filesOf(
      () => client.environments.list(),
      async () => takeOwn(),
    );
    return { gateway, client: own };
  } finally {
    await proxy.stop();
    await upstream.close();
  }
}

/** The files that run in the gateway for a message to a device of the embedded environment server, until its acknowledgement. */
async function measureSend() {
  const proxy = await launchMeasuredProxy();
  try {
    const apiKey = await proxy.createKey({ scopes: ["send", "connect"] });
    const device = await connectScriptedDevice({ baseUrl: proxy.url, apiKey, deviceId: "measured" });
    const client = createClient({ baseUrl: proxy.url, apiKey });
    const send = () =>
      client.environments.sendMessage(device.connectionId, {
        agentId: "agent-1",
        messages: [{ role: "user", content: "hello" }],
      });
    const files = await filesOf(send, proxy.take);
    await device.close();
    return files;
  } finally {
    await proxy.stop();
  }
}

const list = await measureList();
const requests = {
  "gateway: cached list": list.gateway,
  "gateway: send to an embedded device": await measureSend(),
  "client: list": list.client,
};
const packages = measurePackages();
if (process.argv.includes("--json")) process.stdout.write(`${JSON.stringify({ packages, requests }, null, 2)}\n`);
else {
  const rows = packages.map(({ folderPairs, cycles, ...figures }) => ({
    ...figures,
    folderPairs: folderPairs.length,
    cycles: cycles.map(({ length }) => length).join("+") || "0",
  }));
  const heads = Object.keys(rows[0] ?? {});
  for (const cells of [heads, ...rows.map(Object.values)]) {
    const [name = "", ...others] = cells.map(String);
    const padded = others.map((cell, index) => cell.padStart((heads[index + 1] ?? "").length));
    process.stdout.write(`${[name.padEnd(28), ...padded].join("  ")}\n`);
  }
  process.stdout.write("(cycles: number of files in each)\n\n");
  for (const [name, files] of Object.entries(requests))
    process.stdout.write(`${String(files.length).padStart(4)} files run  ${name}\n`);
}
