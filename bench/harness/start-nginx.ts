import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { launchProcess } from "../../packages/testkit/src/process.ts";
import { firstAnswer } from "./first-answer.ts";
import { pinned } from "./pin.ts";

/** An nginx that runs. */
export interface RunningNginx {
  /** Of the master; its worker is a child. */
  readonly pid: number;
  stop(): Promise<void>;
}

/** Its configuration: what `http` contains, and a request by which it is known to run. */
export interface NginxOptions {
  readonly http: string;
  readonly probe: { readonly port: number; readonly path: string; readonly status: number };
  /** Puts files into the folder that relative names refer to. */
  readonly prepare?: (folder: string) => Promise<void>;
}

/** Where nginx is; `null` where it is not installed. Debian has it in a folder that is not on everybody's PATH. */
export function findNginx(): string | null {
  if (existsSync("/usr/sbin/nginx")) return "/usr/sbin/nginx";
  return spawnSync("nginx", ["-v"], { stdio: "ignore" }).status === 0 ? "nginx" : null;
}

/** nginx's version, such as `nginx/1.26.3`. */
export function nginxVersion(command: string): string {
  return /nginx\/\S+/.exec(spawnSync(command, ["-v"], { encoding: "utf8" }).stderr)?.[0] ?? "nginx";
}

/** Starts nginx on one core, with one worker and its own configuration. */
export async function startNginx(command: string, core: number, options: NginxOptions): Promise<RunningNginx> {
  const prefix = await mkdtemp(join(tmpdir(), "letta-bench-nginx-"));
  await options.prepare?.(prefix);
  const file = join(prefix, "nginx.conf");
  await writeFile(file, configuration(options.http));
  const [executable, args] = pinned(core, command, ["-e", "stderr", "-p", prefix, "-c", file]);
  const nginx = launchProcess({ command: executable, args });
  const { port, path, status } = options.probe;
  await firstAnswer(port, path, status).catch((cause: unknown) => {
    throw new Error(`nginx did not start:\n${nginx.output()}`, { cause });
  });
  return {
    pid: nginx.pid,
    async stop() {
      await nginx.stop();
      await rm(prefix, { recursive: true, force: true });
    },
  };
}

function configuration(http: string): string {
  // A worker of another user could not read the folder, which is its owner's alone.
  const user = process.getuid?.() === 0 ? "user root;" : "";
  return `${user} daemon off; worker_processes 1; pid nginx.pid; error_log stderr warn;
events { worker_connections 4096; }
http {
  tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 600;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
${http}
}
`;
}
