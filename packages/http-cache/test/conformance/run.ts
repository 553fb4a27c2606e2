/**
 * `conformance --suite DIR [--json FILE] [--id TEST]`: runs the public suite (http-tests/cache-tests, checked out and installed in DIR) against
 * the cache in this process, and prints the results. Exits with 1 if a goal is missed.
 */
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { createReverseProxy } from "./reverse-proxy.ts";
import { type SuiteTests, summarise } from "./summarise.ts";

const goals = { required: 159, optimal: 96 };
/** Runs all tests at once, because each of them sleeps most of the time. */
const testsAtOnce = 400;

const { values } = parseArgs({
  options: { suite: { type: "string" }, json: { type: "string" }, id: { type: "string" } },
});
if (values.suite === undefined) throw new Error("--suite DIR is required: a checkout of http-tests/cache-tests");
const suite = resolve(values.suite);

async function load<Module>(path: string): Promise<Module> {
  return (await import(pathToFileURL(join(suite, path)).href)) as Module;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => void server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((done) => void server.close(() => done()));
  return port;
}

const port = await freePort();
process.env["npm_config_protocol"] = "http";
process.env["npm_config_port"] = String(port);
process.env["npm_config_pidfile"] = join(tmpdir(), `http-cache-conformance-${process.pid}.pid`);
// The suite's origin and client write to the console.
const quiet = (): void => undefined;
Object.assign(console, { log: quiet, error: quiet });
const log = (line: string): void => void process.stdout.write(`${line}\n`);
await load("test-engine/server/server.mjs");

const origin = `http://127.0.0.1:${port}`;
const proxy = createReverseProxy(origin, globalThis.fetch);
// The suite tells the cache of `fetch` to keep out. Such a mode does not reach a proxy over a network.
globalThis.fetch = (input, init) => proxy(new Request(input, { ...init, cache: "default" }));

const { default: all } = await load<{ readonly default: SuiteTests }>("tests/index.mjs");
const tests = all
  .map((group) => ({ ...group, tests: group.tests.filter(({ id }) => values.id === undefined || id === values.id) }))
  .filter((group) => group.tests.length > 0);
const { runTests, getResults } = await load<{
  readonly runTests: (tests: SuiteTests, browser: boolean, base: string, atOnce: number) => Promise<void>;
  readonly getResults: () => Readonly<Record<string, unknown>>;
}>("test-engine/client/runner.mjs");
const { determineTestResult } = await load<{
  readonly determineTestResult: (tests: SuiteTests, id: string, results: object) => readonly unknown[];
}>("test-engine/lib/results.mjs");
await runTests(tests, false, origin, testsAtOnce);

const results = getResults();
const summary = summarise(all, (id) => String(determineTestResult(all, id, results)[2]));
for (const { id, kind, name } of summary.missed) log(`missed (${kind}): ${id}: ${name}`);
const { required, optimal, check } = summary.passed;
log(
  `required ${required}/${summary.total.required} optimal ${optimal}/${summary.total.optimal} (yes ${check}/${summary.total.check})`,
);
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify({ ...summary, results }, null, 2)}\n`);
process.exit(values.id !== undefined || (required >= goals.required && optimal >= goals.optimal) ? 0 : 1);
