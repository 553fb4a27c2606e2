import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { freePort } from "../harness/first-answer.ts";
import { type RunningNginx, startNginx } from "../harness/start-nginx.ts";
import { devicePath, fixedBody } from "./fixed-answer.ts";
import { limitCounts } from "./limit-counts.ts";

/** Limits by three keys, as the others have: by key, by address, and by something that all callers share. */
const limitKeys = ["$http_authorization", "$binary_remote_addr", "$server_name"];

/**
 * Starts nginx with a port for each number of limits. It serves a file: what `return` answers is answered before `limit_req` is asked.
 */
export async function startLimitedNginx(
  command: string,
  core: number,
): Promise<RunningNginx & { readonly ports: readonly number[] }> {
  const ports = await Promise.all(limitCounts.map(freePort));
  const zones = limitKeys.map((key, index) => `limit_req_zone ${key} zone=limit${index}:10m rate=1000000r/s;`);
  const servers = ports.map((port, index) => {
    const limits = limitKeys.slice(0, limitCounts[index]);
    const uses = limits.map((_, limit) => `limit_req zone=limit${limit} burst=100000 nodelay;`);
    return `server { listen 127.0.0.1:${port}; server_name bench; root root; default_type application/json; ${uses.join(" ")} }`;
  });
  const nginx = await startNginx(command, core, {
    http: `  access_log off; sendfile on; open_file_cache max=10 inactive=600s; open_file_cache_valid 600s;
  ${[...zones, ...servers].join("\n  ")}`,
    probe: { port: ports[0] ?? 0, path: devicePath, status: 200 },
    async prepare(folder) {
      const file = join(folder, "root", devicePath);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, fixedBody);
    },
  });
  return { ...nginx, ports };
}
