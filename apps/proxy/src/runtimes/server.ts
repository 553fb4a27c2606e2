/**
 * The module `@letta-environments/proxy/server`: the gateway with everything that `letta-proxy start` has, inside another program on
 * Node.js, Bun or Deno. It has the embedded environment server, so devices connect to the program, unless `UPSTREAM_URL` names a remote
 * one. Keys, devices and the audit log are in the data directory. It needs no web framework: requests are the web's `Request`, and sockets
 * come from a server of `node:http`.
 */
import process from "node:process";
import { CommandError } from "@letta-environments/command-line";
import { randomId, systemClock } from "@letta-environments/platform/node";
import { checkValue, type Scope } from "@letta-environments/schema";
import { bufferLines, createJsonLogWriter, dropUnread, type OutputState } from "../adapters/log.ts";
import { filterByLevel } from "../adapters/log-event.ts";
import { lastReadMs, standardOutput } from "../adapters/node/standard-output.ts";
import { connectionCapacity } from "../adapters/node/open-files.ts";
import { resolveSettings } from "../config/resolve.ts";
import type { Settings } from "../config/settings.ts";
import { createGatewayApp, toWebResponse } from "../host/gateway.ts";
import { passedRequest, pathBelow, webRequestTarget } from "../host/web-request.ts";
import { failureResponse, finishResponse } from "../http/response.ts";
import { createKey } from "../keys/key-lifecycle.ts";
import { keyIssues } from "../keys/key-rules.ts";
import { RequestedKeySchema } from "../keys/key-schemas.ts";
import type { Pepper } from "../ports.ts";
import type { FetchContext } from "./fetch.ts";
import type { SettingSources } from "./fetch/open.ts";
import { nodeKeyMint } from "./node/keys.ts";
import { createMountedHost, closedResponse, type SocketServer } from "./server/mounted.ts";
import { type Listeners, openInstance } from "./server/instance.ts";

export type { FetchContext, SettingSources, SocketServer };

/** The settings of a gateway, and its place in the program that contains it. */
export interface ServerOptions extends SettingSources {
  /**
   * The path below which the program passes requests on, such as `/letta`. Default: `/`. Devices then need `PUBLIC_URL` with this path,
   * since they open their socket there.
   */
  readonly mountPath?: string;
  /** Receives each line of the log, which is JSON with a line feed. Default: standard output. */
  readonly log?: (line: string) => void;
}

/** The rights of a new key. An absent member restricts nothing; without `scopes` the key may list and read. */
export interface NewKey {
  readonly name: string;
  readonly scopes?: readonly Scope[];
  readonly tenant?: string;
  readonly deviceIds?: readonly string[];
  /** Names of devices, such as `ci-*`. */
  readonly connectionNames?: readonly string[];
  readonly agentIds?: readonly string[];
  /** Epoch milliseconds. */
  readonly expiresAt?: number;
}

/** An open gateway. */
export interface GatewayServer {
  /** Responds to a web `Request`. It never rejects. After `close` the response is 503. */
  fetch(this: void, request: Request, context?: FetchContext): Promise<Response>;
  /**
   * Serves the sockets of devices and viewers on the HTTP server that serves the program. Upgrades outside `mountPath`, and at the root those
   * outside `/v1/`, are left to other listeners. Replaces a closed gateway at the same path.
   */
  serveSockets(server: SocketServer): void;
  /**
   * Opens the port of the settings (`HOST`, `PORT`, default 127.0.0.1:8787) and serves everything there, at the root: it rejects if there is a
   * `mountPath`. Rejects with an error whose message names the setting if the port cannot be opened; call it again when it can.
   *
   * @returns the URL under which this machine reaches the gateway
   */
  listen(): Promise<string>;
  /** Creates a key, with an audit record, and resolves with it: only its digest is stored. Rejects with a TypeError that names a wrong member. */
  createKey(key: NewKey): Promise<string>;
  /**
   * Finishes requests (at most 10 seconds), disconnects devices, and closes the data directory. If the program has its own server,
   * stop accepting connections first.
   */
  close(): Promise<void>;
}

/** The longest time for requests in progress, in milliseconds. */
const graceMs = 10_000;

/**
 * Opens the gateway: locks and migrates the data directory (`DATA_DIR`, default `.data`), and composes the gateway over it. Nothing
 * listens yet. Rejects with a TypeError that names every setting that breaks a rule, or with an error that names the file that cannot be
 * used.
 *
 * @example
 * const gateway = await openGateway({ environment: process.env });
 * console.log(await gateway.createKey({ name: "devices", scopes: ["connect"] }));
 * console.log(await gateway.listen()); // http://127.0.0.1:8787
 */
export async function openGateway({ mountPath = "/", log, ...sources }: ServerOptions = {}): Promise<GatewayServer> {
  const settings = resolveServerSettings(sources, mountPath);
  const prefix = mountPath === "/" ? "" : mountPath;
  const output = openOutput(log);
  const write = createJsonLogWriter(output.write, systemClock.now);
  const unread = dropUnread(write, log === undefined ? standardOutput() : ownOutput);
  const report = filterByLevel(settings.logLevel, unread.log);
  const instance = await openInstance(settings, report, unread.dropped).catch(async (cause: unknown) => {
    await output.close();
    throw namingSettings(cause);
  });
  const { pipeline, resources } = instance;
  const mounted = createMountedHost(pipeline, {
    prefix,
    maxSockets: connectionCapacity(settings.maxOpenFiles).inbound,
    onFailure: (cause) => instance.log({ type: "internal_error", requestId: "-", cause }),
    onOverload: (overload) => instance.log({ type: "overloaded", ...overload }),
  });
  const app = createGatewayApp<FetchContext>(pipeline, {
    routes: instance.routes,
    toGatewayRequest: ({ req, env }) =>
      mounted.abortBodyOnClose(passedRequest(req.raw, env.clientAddress ?? null, prefix)),
    toPath: (request) => pathBelow(prefix, webRequestTarget(request.url).path),
  });
  let listening: Promise<Listeners> | null = null;
  let closing: Promise<void> | null = null;

  function assertOpen(): void {
    if (closing !== null) throw new Error("the gateway is closed");
  }

  async function close(): Promise<void> {
    const { main } = (await listening?.catch(() => null)) ?? { main: null };
    await instance.close(graceMs, [mounted, ...(main === null ? [] : [main.connections])]);
    await output.close();
  }

  return {
    async fetch(request, context) {
      if (closing !== null) return toWebResponse(finishResponse(closedResponse, randomId("req"), request.method));
      // Some hosts pass their own context, so anything but text is not an address.
      const clientAddress = typeof context?.clientAddress === "string" ? context.clientAddress : null;
      try {
        return await mounted.track(async () => app.fetch(request, { clientAddress }));
      } catch (cause) {
        const requestId = randomId("req");
        return toWebResponse(
          finishResponse(failureResponse(requestId, cause, instance.log), requestId, request.method),
        );
      }
    },
    serveSockets(server) {
      assertOpen();
      mounted.serveSockets(server);
      // Otherwise the address of the program's server is not known.
      if (settings.publicUrl !== null) instance.announce(settings.publicUrl);
    },
    async listen() {
      assertOpen();
      if (prefix !== "")
        throw new Error("listen() serves the root: open the gateway without mountPath, or use fetch()");
      // A failure, such as a taken port, may be temporary.
      listening ??= instance.listen({ host: "HOST", port: "PORT" }).catch((cause: unknown) => {
        listening = null;
        throw cause;
      });
      return (await listening).main.url;
    },
    async createKey(key) {
      assertOpen();
      const { keys, keyStoreFor } = resources;
      const { secret, record } = mintKey(key, keys.pepper);
      await keyStoreFor({ kind: "start" }).create(record);
      return secret;
    },
    close: () => (closing ??= close()),
  };
}

/** @throws TypeError that names every setting that breaks a rule */
function resolveServerSettings({ environment = {}, config }: SettingSources, mountPath: string): Settings {
  // The listener that the token is for is refused below.
  const withoutAdminToken = true;
  // A program has no terminal of its own; as with the option, the console is off unless the configuration enables it.
  const resolved = resolveSettings({ flags: { log: "json" }, environment, file: config, withoutAdminToken });
  const problems = resolved.ok ? [] : resolved.problems.map(({ setting, rule }) => `${setting} ${rule}`);
  if (!/^\/(?:[\w.~-]+(?:\/[\w.~-]+)*)?$/.test(mountPath)) {
    problems.push("mountPath must be a path without a trailing slash, such as /letta");
  }
  if (!resolved.ok) throw new TypeError(problems.join("\n"));
  const { settings } = resolved;
  const { pathname } = new URL(settings.publicUrl ?? "http://localhost/");
  if (settings.admin !== null) problems.push("admin.port needs a separate listener: run 'letta-proxy start' for it");
  if (mountPath !== "/" && settings.upstream.kind === "embedded" && !pathname.endsWith(mountPath)) {
    problems.push(
      `PUBLIC_URL must be the address of the gateway, with the path ${mountPath}: devices open their socket there`,
    );
  }
  if (mountPath !== "/" && settings.console) {
    problems.push("console.enabled must be false with a mountPath: the pages of the console are at the root");
  }
  if (problems.length > 0) throw new TypeError(problems.join("\n"));
  return settings;
}

/** @throws TypeError that names the member that breaks a rule */
function mintKey(
  key: NewKey,
  pepper: Pepper,
): { readonly secret: string; readonly record: ReturnType<typeof createKey>["record"] } {
  const checked = checkValue(RequestedKeySchema, key, "the key", { firstIssueOnly: true });
  const nowMs = systemClock.now();
  const issues = checked.ok ? keyIssues(checked.value, nowMs) : checked.issues;
  if (!checked.ok || issues.length > 0) {
    throw new TypeError(issues.map(({ member, rule }) => `${member} ${rule}`).join("\n"));
  }
  const minted = createKey({ tenant: "default", ...checked.value }, nowMs, nodeKeyMint(pepper));
  return { secret: minted.key, record: minted.record };
}

/** Names the variable, which programs set, in errors about the data directory. */
function namingSettings(cause: unknown): unknown {
  if (!(cause instanceof CommandError)) return cause;
  const message = cause.message.replace(/^the data directory(?= )|(?<=with )--data-dir$/, "DATA_DIR");
  return new CommandError(message, cause.exitCode, { cause, details: cause.details });
}

/** Flushes the open logs. One listener serves all of them, because Node warns of more than ten. */
const flushes = new Set<() => void>();
const flushAll = (): void => {
  for (const flush of flushes) flush();
};

/** The state of an output that is the program's own. */
const ownOutput: OutputState = { unreadBytes: 0, lostLines: 0, isFailing: false };

/** Opens the log. Lines of one turn of the event loop are written to standard output together. */
function openOutput(log: ((line: string) => void) | undefined): { write(line: string): void; close(): Promise<void> } {
  if (log !== undefined) return { write: log, close: () => Promise.resolve() };
  const { write, flush } = bufferLines(standardOutput().write, setImmediate);
  if (flushes.size === 0) process.on("exit", flushAll);
  flushes.add(flush);
  return {
    write,
    async close() {
      flush();
      if (flushes.delete(flush) && flushes.size === 0) process.off("exit", flushAll);
      await standardOutput().settled(lastReadMs);
    },
  };
}
