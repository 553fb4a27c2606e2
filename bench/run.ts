/**
 * `pnpm bench [name] [--save]`: runs one benchmark or all of them. The table goes to standard output, every figure to a JSON file in
 * `reports/`; with `--save` to `results/`, from which the README's tables are written. Ends with 1 when a goal was missed.
 */
import { join } from "node:path";
import process from "node:process";
import { measureAuthentication } from "./authentication.ts";
import { measureCache } from "./cache.ts";
import { measureClientBehaviour } from "./client-behaviour.ts";
import { measureClient } from "./client.ts";
import { describeEnvironment, renderEnvironment } from "./harness/environment.ts";
import { type BenchmarkResult, renderResult } from "./harness/result.ts";
import { saveResult, writeReadme } from "./harness/save-result.ts";
import { measureGuards } from "./guards.ts";
import { measureRateLimits } from "./rate-limits.ts";
import { measureRateLimitsHttp } from "./rate-limits-http.ts";
import { measureRevocation } from "./revocation.ts";
import { measureDeviceAttacks } from "./attacks/device-attacks.ts";
import { measureDevices } from "./devices/devices.ts";
import { measureEdge } from "./edge/edge.ts";
import { measureEvents } from "./events/events.ts";
import { measureGateway } from "./gateway/gateway.ts";
import { measureVariants } from "./gateway/variants.ts";
import { measureHosts } from "./hosts.ts";
import { measureOverload } from "./overload.ts";
import { measureVerifiedKeys } from "./verified-keys.ts";
import { measureDigestComparison } from "./timing-of-digest-comparison.ts";

const benchmarks: ReadonlyMap<string, () => BenchmarkResult | Promise<BenchmarkResult>> = new Map<
  string,
  () => BenchmarkResult | Promise<BenchmarkResult>
>([
  ["gateway", measureGateway],
  ["variants", measureVariants],
  ["authentication", measureAuthentication],
  ["verified-keys", measureVerifiedKeys],
  ["rate-limits", measureRateLimits],
  ["rate-limits-http", measureRateLimitsHttp],
  ["cache", measureCache],
  ["revocation", measureRevocation],
  ["device-attacks", measureDeviceAttacks],
  ["devices", measureDevices],
  ["events", measureEvents],
  ["overload", measureOverload],
  ["hosts", measureHosts],
  ["edge", measureEdge],
  ["guards", measureGuards],
  ["digest-comparison", measureDigestComparison],
  ["client", measureClient],
  ["client-behaviour", measureClientBehaviour],
]);

// The servers under test are in process groups of their own and end when this process exits, which a signal alone does not do.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));

const words = process.argv.slice(2);
const saves = words.includes("--save");
const named = words.filter((word) => word !== "--save");
const unknown = named.filter((word) => !benchmarks.has(word));

if (unknown.length > 0) {
  process.stderr.write(
    `There is no benchmark ${unknown.join(", ")}; there are: ${[...benchmarks.keys()].join(", ")}\n`,
  );
  process.exitCode = 2;
} else {
  await runAll(named.length === 0 ? [...benchmarks.keys()] : named);
  // What is measured may have left a timer of an hour.
  process.exit();
}

async function runAll(names: readonly string[]): Promise<void> {
  for (const name of names) {
    const environment = describeEnvironment();
    const result = await benchmarks.get(name)?.();
    if (result === undefined) continue;
    const file = await saveResult(join(import.meta.dirname, saves ? "results" : "reports"), {
      name,
      environment,
      ...result,
    });
    process.stdout.write(`\n## ${name}\n\n${renderEnvironment(environment)}\n\n${renderResult(result)}\n\n${file}\n`);
    if (result.goals.some(({ met }) => !met)) process.exitCode = 1;
  }
  if (saves) await writeReadme(import.meta.dirname, [...benchmarks.keys()]);
}
