import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launchProcess } from "../../../packages/testkit/src/process.ts";
import { firstAnswer, freePort } from "../../harness/first-answer.ts";
import { pinned } from "../../harness/pin.ts";
import { isUncached } from "../loads.ts";
import { gatewayCore } from "../run-load.ts";
import type { RunningSystem } from "../system.ts";

const key = "bench";

/** HAProxy's version, such as `3.0.11`; `null` where it is not installed. */
export function haproxyVersion(): string | null {
  const { stdout, error } = spawnSync("haproxy", ["-v"], { encoding: "utf8" });
  return error === undefined ? (/version (\d+\.\d+\.\d+)/.exec(stdout)?.[1] ?? "") : null;
}

/** Starts HAProxy as a gateway: keys in a map, a rate counted for each key, a log, and its cache; without the cache at a second port. */
export async function startHaproxy(origin: string): Promise<RunningSystem> {
  const folder = await mkdtemp(join(tmpdir(), "letta-bench-haproxy-"));
  const [cached, passThrough] = [await freePort(), await freePort()];
  await writeFile(join(folder, "keys.map"), `${key} bench-key\n`);
  await writeFile(join(folder, "haproxy.cfg"), configuration(folder, origin, cached, passThrough));
  const words = ["-c", 'exec "$@" > /dev/null', "sh", "haproxy", "-db", "-f", join(folder, "haproxy.cfg")];
  const [command, args] = pinned(gatewayCore, "sh", words);
  const haproxy = launchProcess({ command, args });
  await firstAnswer(cached, "/", 401).catch((cause: unknown) => {
    throw new Error(`HAProxy did not start:\n${haproxy.output()}`, { cause });
  });
  return {
    pid: haproxy.pid,
    helpers: [],
    key,
    portOf: (load) => (isUncached(load) ? passThrough : cached),
    async stop() {
      await haproxy.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function configuration(folder: string, origin: string, cached: number, passThrough: number): string {
  // HAProxy stores no response to a request with Authorization, so the field goes before the cache is asked and comes again behind it.
  const checks = `  http-request set-var(txn.key) http_auth_bearer,map(${folder}/keys.map)
  http-request deny deny_status 401 unless { var(txn.key) -m found }
  http-request track-sc0 var(txn.key) table limits
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 2000000000 }
  http-request del-header authorization`;
  return `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  http-reuse always
  log stdout format raw local0
  log-format '{"time":"%t","method":"%HM","url":"%HU","status":%ST,"ms":%Ta,"key":"%[var(txn.key)]"}'
cache responses
  total-max-size 64
  max-object-size 65536
  max-age 600
backend limits
  stick-table type string len 64 size 10k expire 60s store http_req_rate(60s)
frontend cached
  bind 127.0.0.1:${cached}
${checks}
  http-request cache-use responses
  http-response set-header cache-control max-age=600
  http-response cache-store responses
  default_backend origin
frontend pass-through
  bind 127.0.0.1:${passThrough}
${checks}
  default_backend origin
backend origin
  http-request set-header authorization "Bearer upstream"
  server origin ${new URL(origin).host}
`;
}
