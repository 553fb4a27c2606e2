import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { devicePath, fixedBody } from "../systems/fixed-answer.ts";
import { limitCounts } from "../systems/limit-counts.ts";
import { pinned } from "./pin.ts";

/** A server with a port for each number of limits. */
export interface LimitedServer {
  /** In the order of `limitCounts`. */
  readonly ports: readonly number[];
  readonly key: string;
  /** CPU time of what serves requests so far, in microseconds. */
  cpuUs(): Promise<number>;
  stop(): Promise<void>;
}

/** Limits by three keys, as the others have: by key, by address, and by something that all callers share. */
const limitKeys = ["$http_authorization", "$binary_remote_addr", "$server_name"];

/** Where nginx is; `null` where it is not installed. Debian has it in a folder that is not on everybody's PATH. */
export function findNginx(): string | null {
  if (existsSync("/usr/sbin/nginx")) return "/usr/sbin/nginx";
  return spawnSync("nginx", ["-v"], { stdio: "ignore" }).status === 0 ? "nginx" : null;
}

/** nginx's version, such as `nginx/1.26.3`. */
export function nginxVersion(command: string): string {
  return /nginx\/\S+/.exec(spawnSync(command, ["-v"], { encoding: "utf8" }).stderr)?.[0] ?? "nginx";
}

/**
 * Starts nginx on one core, with a worker and a configuration of its own. It serves a file: what `return` answers is answered before
 * `limit_req` is asked.
 */
export async function startNginx(command: string, core: number): Promise<LimitedServer> {
  const prefix = await mkdtemp(join(tmpdir(), "letta-bench-nginx-"));
  const ports = await freePorts(limitCounts.length);
  const file = join(prefix, "root", devicePath);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, fixedBody);
  await writeFile(join(prefix, "nginx.conf"), configuration(ports));
  const words = ["-e", "stderr", "-p", prefix, "-c", join(prefix, "nginx.conf")];
  const [executable, pinnedWords] = pinned(core, command, words);
  const master = spawn(executable, pinnedWords, { stdio: ["ignore", "ignore", "inherit"] });
  const worker = await workerOf(master);
  return {
    ports,
    key: "bench",
    cpuUs: () => Promise.resolve(cpuUsOf(worker)),
    async stop() {
      const exited = once(master, "exit");
      master.kill("SIGTERM");
      await exited;
      await rm(prefix, { recursive: true, force: true });
    },
  };
}

function configuration(ports: readonly number[]): string {
  const zones = limitKeys.map((key, index) => `limit_req_zone ${key} zone=limit${index}:10m rate=1000000r/s;`);
  const servers = ports.map((port, index) => {
    const limits = limitKeys.slice(0, limitCounts[index]);
    const uses = limits.map((_, limit) => `limit_req zone=limit${limit} burst=100000 nodelay;`);
    return `server { listen 127.0.0.1:${port}; server_name bench; root root; default_type application/json; ${uses.join(" ")} }`;
  });
  // A worker of another user could not read the folder, which is its owner's alone.
  const user = process.getuid?.() === 0 ? "user root;" : "";
  return `${user} daemon off; worker_processes 1; pid nginx.pid; error_log stderr warn;
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 600;
  open_file_cache max=10 inactive=600s; open_file_cache_valid 600s;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  ${zones.join("\n  ")}
  ${servers.join("\n  ")}
}
`;
}

async function workerOf(master: ChildProcess): Promise<number> {
  const children = `/proc/${master.pid}/task/${master.pid}/children`;
  for (let attempt = 0; attempt < 100 && master.exitCode === null; attempt++) {
    const [worker = ""] = existsSync(children) ? readFileSync(children, "utf8").trim().split(" ") : [];
    if (worker !== "") return Number(worker);
    await delay(50);
  }
  throw new Error("nginx has no worker.");
}

/** Time on a core: to the nanosecond where the kernel counts so, else in ticks of 10 ms. */
function cpuUsOf(pid: number): number {
  if (existsSync(`/proc/${pid}/schedstat`)) {
    return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1_000;
  }
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
