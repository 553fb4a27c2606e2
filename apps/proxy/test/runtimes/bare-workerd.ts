/**
 * Starts workerd itself. The servers of wrangler, which run in Node.js, are not in front of it: they would be measured too, and they do not
 * tell a Worker that its caller has left.
 */
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { appFolder, workerSecrets } from "./workerd-launcher.ts";

const wrangler = createRequire(createRequire(import.meta.url).resolve("wrangler"));

/** A running workerd. */
export interface BareWorkerd {
  readonly process: ChildProcess;
  /** The address of a service that has a socket. */
  url(service: string): string;
  stop(): Promise<void>;
}

/** The objects of the gateway: bindings and classes of `wrangler.jsonc`. */
const objects = {
  KEYS: "KeyObject",
  LIMITS: "RateLimitObject",
  FLIGHTS: "FlightObject",
  AUDIT: "AuditObject",
  TENANTS: "TenantObject",
} as const;

/** The compatibility settings of each Worker. */
export const workerFlags = `compatibilityDate = "2026-11-01", compatibilityFlags = ["enable_request_signal"]`;

/** Writes a text into the configuration. */
export const text = (value: string): string => JSON.stringify(value);

/** A module of a Worker. */
export function moduleOf(name: string, source: string): string {
  return `(name = ${text(name)}, esModule = ${text(source)})`;
}

/** The settings of the gateway and the services around it. */
export interface GatewayServiceOptions {
  readonly config: object;
  readonly upstreamUrl: string;
  /** Another main module, which may import the built one. */
  readonly main?: string;
  /** The services that have its assets, store its cache and take its outgoing requests. */
  readonly services: { readonly assets: string; readonly cache: string; readonly outgoing: string };
}

/** The built gateway as a service. */
export function gatewayService(name: string, { config, upstreamUrl, main, services }: GatewayServiceOptions): string {
  const folder = join(appFolder, "dist/worker");
  const built = readdirSync(folder).filter((file) => file.endsWith(".js"));
  const modules = [
    ...(main === undefined ? [] : [main]),
    ...built.toSorted(mainFirst).map((file) => moduleOf(file, readFileSync(join(folder, file), "utf8"))),
  ];
  const variables = { ...workerSecrets, UPSTREAM_URL: upstreamUrl, PROXY_CONFIG: JSON.stringify(config) };
  const bindings = [
    ...Object.entries(variables).map(([key, value]) => `(name = ${text(key)}, text = ${text(value)})`),
    ...Object.entries(objects).map(
      ([key, className]) => `(name = ${text(key)}, durableObjectNamespace = (className = ${text(className)}))`,
    ),
    `(name = "ASSETS", service = ${text(services.assets)})`,
  ];
  const namespaces = Object.values(objects).map(
    (className) => `(className = ${text(className)}, uniqueKey = ${text(`${name} ${className}`)}, enableSql = true)`,
  );
  return `(name = ${text(name)}, worker = (modules = [${modules.join(", ")}], ${workerFlags}, bindings = [${bindings.join(", ")}],
    durableObjectNamespaces = [${namespaces.join(", ")}], durableObjectStorage = (localDisk = "disk"),
    cacheApiOutbound = ${text(services.cache)}, globalOutbound = ${text(services.outgoing)}))`;
}

function mainFirst(left: string, right: string): number {
  const main = "cloudflare.js";
  return Number(right === main) - Number(left === main);
}

/** How {@link startBareWorkerd} starts the process. Default: with the command as it is, and without its log. */
export interface StartOptions {
  readonly command?: (program: string, words: readonly string[]) => readonly [string, readonly string[]];
  readonly stdout?: "ignore" | "pipe";
}

/** Starts these services, and resolves when those in `names` listen. A service can store objects in the service `disk`. */
export async function startBareWorkerd(
  services: readonly string[],
  names: readonly string[],
  { command = (program, words) => [program, words], stdout = "ignore" }: StartOptions = {},
): Promise<BareWorkerd> {
  const folder = mkdtempSync(join(tmpdir(), "letta-workerd-"));
  const disk = join(folder, "disk");
  mkdirSync(disk);
  const sockets = names.map(
    (name) => `(name = ${text(name)}, address = "127.0.0.1:0", http = (), service = ${text(name)})`,
  );
  const stored = `(name = "disk", disk = (path = ${text(disk)}, writable = true))`;
  const configPath = join(folder, "config.capnp");
  writeFileSync(
    configPath,
    `using Workerd = import "/workerd/workerd.capnp";
    const config :Workerd.Config = (services = [${[...services, stored].join(", ")}], sockets = [${sockets.join(", ")}]);`,
  );
  const { default: program } = wrangler("workerd") as { readonly default: string };
  const [file, args] = command(program, ["serve", "--experimental", "--control-fd=3", configPath]);
  const stdio: StdioOptions = ["ignore", stdout, "inherit", "pipe"];
  const child = spawn(file, args, { stdio });
  const ports = await readPorts(child, names.length);
  return {
    process: child,
    url: (service) => `http://127.0.0.1:${ports.get(service)}`,
    async stop() {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Reads the ports that workerd has chosen from its control channel. */
async function readPorts(child: ChildProcess, count: number): Promise<ReadonlyMap<string, number>> {
  const control = child.stdio[3];
  if (control === null || control === undefined || !("read" in control))
    throw new Error("workerd has no control channel.");
  const ports = new Map<string, number>();
  let received = "";
  for await (const chunk of control) {
    received += String(chunk);
    for (const [, name = "", port] of received.matchAll(/"socket":"(\w+)","port":(\d+)/g))
      ports.set(name, Number(port));
    if (ports.size === count) return ports;
  }
  throw new Error("workerd ended before it listened.");
}
