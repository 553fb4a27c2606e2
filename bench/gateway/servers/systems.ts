/** The servers that are measured: the gateway on each runtime, what others offer, and bare servers. */
import { runtimeVersion, type ServerRuntime } from "../../../apps/proxy/test/runtimes/runtime-commands.ts";
import { findNginx, nginxVersion } from "../../harness/start-nginx.ts";
import { isUncached, type LoadName, remoteLoads } from "../loads.ts";
import { hasMemoryFolder, startBareWorker, startGateway, startWorker } from "./start-gateway.ts";
import { haproxyVersion, startHaproxy } from "./start-haproxy.ts";
import { startNginxGateway } from "./start-nginx-gateway.ts";
import { startScript } from "./start-script.ts";
import type { System } from "../system.ts";

const hits: readonly LoadName[] = ["hit-one", "hit-list"];
const runtimeNames: Readonly<Record<ServerRuntime, string>> = { node: "Node", bun: "Bun", deno: "Deno" };

function gateway(runtime: ServerRuntime): System {
  return {
    id: runtime,
    name: `gateway on ${runtimeNames[runtime]} ${runtimeVersion(runtime)}`,
    kind: "gateway",
    loads: remoteLoads,
    missing: null,
    start: (origin) => startGateway(runtime, { origin, data: "memory" }),
  };
}

/** The gateway without its cache, as the others run in the rows of misses: the difference is what storing each response costs. */
function uncachedGateway(runtime: "node" | "bun"): System {
  return {
    id: `${runtime}-uncached`,
    name: `gateway on ${runtimeNames[runtime]}, cache off`,
    kind: "gateway",
    loads: ["miss-one", "miss-list"],
    missing: null,
    start: (origin) => startGateway(runtime, { origin, data: "memory", config: { cache: { enabled: false } } }),
  };
}

/** The same gateway with its data on disk: the difference is what durability costs. */
function durableGateway(runtime: "node" | "bun"): System {
  return {
    id: `${runtime}-disk`,
    name: `gateway on ${runtimeNames[runtime]}, data on disk`,
    kind: "gateway",
    loads: ["send"],
    missing: hasMemoryFolder ? null : "a file system in memory at /dev/shm",
    start: (origin) => startGateway(runtime, { origin, data: "disk" }),
  };
}

function peer(id: string, name: string, runtime: ServerRuntime, file: string): System {
  const script = {
    runtime,
    file: `gateway/servers/${file}`,
    key: "bench",
    portIndex: (load: LoadName) => (isUncached(load) ? 1 : 0),
  };
  return { id, name, kind: "peer", loads: remoteLoads, missing: null, start: (origin) => startScript(script, origin) };
}

function bareServer(id: string, name: string, runtime: ServerRuntime, file: string): System {
  const script = {
    runtime,
    file: `hosts/${file}`,
    key: null,
    portIndex: (load: LoadName) => (load === "hit-one" ? 0 : 1),
  };
  return { id, name, kind: "bare", loads: hits, missing: null, start: (origin) => startScript(script, origin) };
}

function nginx(): System {
  const command = findNginx();
  return {
    id: "nginx",
    name: command === null ? "nginx" : nginxVersion(command),
    kind: "server",
    loads: remoteLoads,
    missing: command === null ? "the Debian package nginx-light" : null,
    start: (origin) => startNginxGateway(command ?? "nginx", origin),
  };
}

function haproxy(): System {
  const version = haproxyVersion();
  return {
    id: "haproxy",
    name: `HAProxy ${version ?? ""}`.trim(),
    kind: "server",
    loads: remoteLoads,
    missing: version === null ? "the Debian package haproxy" : null,
    start: startHaproxy,
  };
}

/** Every server in front of the origin, in the order of the tables. */
export function listSystems(): readonly System[] {
  return [
    nginx(),
    haproxy(),
    gateway("node"),
    uncachedGateway("node"),
    durableGateway("node"),
    gateway("bun"),
    uncachedGateway("bun"),
    durableGateway("bun"),
    gateway("deno"),
    {
      id: "workerd",
      name: "gateway in workerd",
      kind: "gateway",
      loads: remoteLoads,
      missing: null,
      start: startWorker,
    },
    peer("fastify", "fastify on Node", "node", "fastify.mjs"),
    peer("express", "express on Node", "node", "express.mjs"),
    peer("hono-node", "Hono's middlewares on Node", "node", "hono.mjs"),
    peer("hono-bun", "Hono's middlewares on Bun", "bun", "hono.mjs"),
    bareServer("bare-node", "bare node:http", "node", "node-http.mjs"),
    bareServer("bare-bun", "bare Bun.serve", "bun", "bun-serve.mjs"),
    bareServer("bare-deno", "bare Deno.serve", "deno", "deno-serve.mjs"),
    {
      id: "bare-workerd",
      name: "bare Worker with one Durable Object call",
      kind: "bare",
      loads: hits,
      missing: null,
      start: startBareWorker,
    },
  ];
}
