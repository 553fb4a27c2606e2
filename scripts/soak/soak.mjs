/**
 * `pnpm soak [simulation] [sockets] [kills] [events] [logs] [overload] [metrics]`: the long runs, all of them by default. Each counts sends or events, and no send may be
 * delivered twice or have an outcome without a type. `metrics` compares the counters with the log of 100,000 requests. Takes about an hour on two cores.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { repositoryRoot } from "../lib/repository.mjs";
import { ensureInstalled } from "../setup/installation.mjs";
import { ensureNode } from "../setup/supported-node.mjs";

const proxy = join(repositoryRoot, "apps/proxy");
const vitest = join(repositoryRoot, "node_modules/vitest/vitest.mjs");

/**
 * Every run: what Node executes, and the variables that make it long. Without a folder it runs in that of the gateway.
 *
 * @typedef {{ words: readonly string[], variables: Readonly<Record<string, string>>, folder?: string }} Run
 * @type {Readonly<Record<string, Run>>}
 */
const runs = {
  simulation: { words: [join(proxy, "test/simulation/main.ts"), "--sends", "100000"], variables: {} },
  sockets: {
    words: [vitest, "run", "test/faults", "--reporter=default"],
    variables: { FAULTED_SENDS: "10000", FULL_MATRIX: "1" },
  },
  kills: {
    words: [vitest, "run", "test/e2e/crash.test.ts", "--reporter=default"],
    variables: { KILLED_SENDS: "5000" },
  },
  events: {
    words: [vitest, "run", "test/e2e/events.test.ts", "--reporter=default"],
    variables: { KILLED_STREAMS: "100" },
  },
  logs: {
    folder: join(repositoryRoot, "packages/environment-server"),
    words: [vitest, "run", "test/kill-valkey-logs.test.ts", "--reporter=default"],
    variables: { KILLED_LOGS: "100" },
  },
  overload: {
    words: [vitest, "run", "test/overload", "--reporter=default"],
    variables: { OVERLOAD_MS: "20000" },
  },
  metrics: {
    words: [vitest, "run", "test/metrics.test.ts", "--reporter=default"],
    variables: { COUNTED_REQUESTS: "100000" },
  },
};

/** Lines that a run prints about what it counted. */
const countLine = /^.*(?:\d+ sends, \d+ delivered|\d+ turns, \d+ stopped|\d+ events), .*$/gm;

/**
 * Executes a run, shows what it prints, and returns whether it passed and what it counted.
 *
 * @param {string} node
 * @param {Run} run
 * @returns {Promise<{ passed: boolean, counts: readonly string[] }>}
 */
function execute(node, { words, variables, folder = proxy }) {
  return new Promise((resolve) => {
    const child = spawn(node, ["--disable-warning=ExperimentalWarning", ...words], {
      cwd: folder,
      env: { ...process.env, ...variables },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      output += text;
      process.stdout.write(text);
    });
    child.on("close", (code) => resolve({ passed: code === 0, counts: output.match(countLine) ?? [] }));
  });
}

const given = process.argv.slice(2).filter((word) => word !== "--");
const unknown = given.filter((name) => !Object.hasOwn(runs, name));
if (unknown.length > 0) {
  process.stderr.write(`soak has the runs ${Object.keys(runs).join(", ")}, not ${unknown.join(", ")}\n`);
  process.exit(2);
}
let node = "";
await ensureInstalled("full", async () => (node = await ensureNode()));
const summary = [];
for (const [name, run] of Object.entries(runs)) {
  if (given.length > 0 && !given.includes(name)) continue;
  const startedAt = performance.now();
  const { passed, counts } = await execute(node, run);
  if (!passed) process.exitCode = 1;
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  summary.push(`${name}: ${passed ? "passed" : "FAILED"} in ${seconds} s`, ...counts.map((line) => `  ${line.trim()}`));
}
process.stdout.write(`\n${summary.join("\n")}\n`);
