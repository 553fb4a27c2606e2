import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../../harness/first-answer.ts";
import { processTree } from "../../harness/proc.ts";
import { findNginx, startNginx } from "../../harness/start-nginx.ts";
import { deviceText, listText } from "../../systems/fixed-answer.ts";
import { loadCore } from "../run-load.ts";
import { launchScript } from "./start-script.ts";

/** The upstream of every gateway under test: it responds with one device, a list of 20, or a send's result. */
export interface Origin {
  readonly pid: number;
  /** The process and its children. */
  readonly pids: readonly number[];
  readonly url: string;
  /** How many requests it has received, of which only differences mean something. */
  countRequests(): Promise<number>;
  stop(): Promise<void>;
}

/** Starts the origin on the load's core: nginx, which costs the load least, or where it is not installed Bun. */
export async function startOrigin(): Promise<Origin> {
  const command = findNginx();
  return command === null ? startBunOrigin() : startNginxOrigin(command);
}

async function startBunOrigin(): Promise<Origin> {
  const { pid, ports, stop } = await launchScript("bun", "gateway/servers/origin.mjs", loadCore, []);
  const url = `http://127.0.0.1:${ports[0]}`;
  return { pid, pids: [pid], url, countRequests: async () => Number(await textOf(`${url}/requests`)), stop };
}

async function startNginxOrigin(command: string): Promise<Origin> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  // The list is a file, since it is too long for a directive.
  const nginx = await startNginx(command, loadCore, {
    http: `  access_log off; open_file_cache max=10 inactive=600s; open_file_cache_valid 600s; default_type application/json;
  server { listen 127.0.0.1:${port};
    location = /requests { stub_status; }
    location = /v1/environments { root files; try_files /list.json =404; }
    location ~ /messages$ { return 200 '{"success":true,"message":"sent"}'; }
    location ~ ^/v1/environments/(.+)$ { return 200 '${deviceText("$1")}'; } }`,
    probe: { port, path: "/v1/environments", status: 200 },
    async prepare(folder) {
      await mkdir(join(folder, "files"));
      await writeFile(join(folder, "files", "list.json"), listText);
    },
  });
  let counts = 0;
  return {
    ...nginx,
    pids: processTree(nginx.pid),
    url,
    async countRequests() {
      // The count includes the requests for it.
      counts += 1;
      const [, requests = ""] = /requests\n \d+ \d+ (\d+)/.exec(await textOf(`${url}/requests`)) ?? [];
      return Number(requests) - counts;
    },
  };
}

async function textOf(url: string): Promise<string> {
  return (await fetch(url)).text();
}
