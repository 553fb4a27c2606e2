import { execFile, spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { startControlled } from "../harness/control.ts";
import type { LoadCommand, LoadReport } from "../harness/load-generator.ts";
import { pinned } from "../harness/pin.ts";
import type { LoadRequest } from "./loads.ts";

/** The core of what is measured, and that of the load with the origin. */
export const [gatewayCore, loadCore] = [0, 1];

/** Whether wrk is installed; the load generator of this folder is a substitute that is too slow for the fastest servers. */
export const hasWrk: boolean = spawnSync("wrk", ["--version"], { stdio: "ignore" }).error === undefined;

/** How often and for how long. */
export interface LoadOptions {
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
  /** Ends the load early; only the load generator of this folder can. */
  readonly maxRequests?: number;
}

/** The results that the load generator saw. */
export interface LoadFigures {
  readonly requests: number;
  /** Responses other than 2xx, and failures of connections. */
  readonly failed: number;
  readonly seconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

const script = join(import.meta.dirname, "wrk.lua");
const generator = join(import.meta.dirname, "../harness/load-generator.ts");
/** Numbers that no earlier load has used; all have ten digits, so that requests are equally long. */
let nextNumber = 1_000_000_000;

/** Sends a request again and again over keep-alive connections, one at a time on each. */
export async function runLoad(request: LoadRequest, options: LoadOptions): Promise<LoadFigures> {
  const first = nextNumber;
  nextNumber += 1_000_000;
  return hasWrk && options.maxRequests === undefined
    ? runWrk(request, options, first)
    : runGenerator(request, options, first);
}

/** The request with its places filled in, for programs that send one. */
export function oneRequest({ path, headers, method, body, values }: LoadRequest): readonly [path: string, RequestInit] {
  nextNumber += 1;
  const fill = (text: string): string =>
    text.replaceAll("{n}", String(nextNumber)).replaceAll("{value}", values[0] ?? "");
  return [fill(path), { method, headers, ...(body !== null && { body: fill(body) }) }];
}

async function runWrk(request: LoadRequest, options: LoadOptions, first: number): Promise<LoadFigures> {
  const words = ["-t1", `-c${options.connections}`, `-d${options.seconds}s`, "--timeout", "10s", "-s", script];
  const [command, args] = pinned(loadCore, "wrk", [...words, `http://127.0.0.1:${options.port}`]);
  const env = {
    PATH: process.env["PATH"],
    LOAD_FIRST: String(first),
    LOAD_METHOD: request.method,
    LOAD_PATH: request.path,
    LOAD_BODY: request.body ?? "",
    LOAD_VALUES: request.values.join(","),
    LOAD_HEADERS: headerLines(request.headers, "\n"),
  };
  const { stdout } = await promisify(execFile)(command, args, { env });
  return JSON.parse(/\{.*\}/.exec(stdout)?.[0] ?? "null") as LoadFigures;
}

async function runGenerator(request: LoadRequest, options: LoadOptions, first: number): Promise<LoadFigures> {
  const { method, path, headers, body, values } = request;
  const length = body === null ? {} : { "content-length": String(body.replaceAll("{n}", String(first)).length) };
  const lines = headerLines({ host: `127.0.0.1:${options.port}`, ...headers, ...length }, "\r\n");
  const text = `${method} ${path} HTTP/1.1\r\n${lines}\r\n\r\n${body ?? ""}`;
  const load = startControlled({ entry: generator, core: loadCore });
  const tell = (command: LoadCommand): Promise<unknown> => load.ask(command);
  try {
    await tell({ kind: "open", request: text, first, values, ...options });
    const { seconds, maxRequests = Number.MAX_SAFE_INTEGER } = options;
    const report = (await tell({ kind: "run", durationMs: seconds * 1_000, maxRequests })) as LoadReport;
    // The generator ends with an error when a request fails.
    return {
      requests: report.requests,
      failed: 0,
      seconds: report.wallMs / 1_000,
      p50Us: report.p50Us,
      p99Us: report.p99Us,
    };
  } finally {
    await load.stop();
  }
}

function headerLines(headers: Readonly<Record<string, string>>, separator: string): string {
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}`)
    .join(separator);
}
