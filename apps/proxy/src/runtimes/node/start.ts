import { randomBytes } from "node:crypto";
import process from "node:process";
import { constantTimeEqual, hmacSha256Hex, randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";
import { bufferLines } from "../../adapters/buffer-lines.ts";
import { createConsoleTelemetry } from "../../adapters/console-telemetry.ts";
import { createHttpJwksFetch } from "../../adapters/http-jwks-fetch.ts";
import { createHttpServer, defaultServerTimeouts } from "../../adapters/node/create-http-server.ts";
import { trackServer } from "../../adapters/node/drain-server.ts";
import { gatewayRequestOf, pathOf } from "../../adapters/node/gateway-request-of.ts";
import { writeResponse } from "../../adapters/node/write-response.ts";
import { serveWebSockets } from "../../adapters/node/web-socket-upgrades.ts";
import { createProxy } from "../../app.ts";
import { auditKeyStore } from "../../audit/audit-key-store.ts";
import type { ParsedCommand } from "../../cli/parse-command.ts";
import { createHonoApp } from "../../hono/create-hono-app.ts";
import { createKeyUses } from "../../keys/create-key-uses.ts";
import { innermostReason } from "../../keys/innermost-reason.ts";
import { reportOutages } from "../../keys/report-outages.ts";
import { watchSocketKeys } from "../../keys/watch-socket-keys.ts";
import type { KeyStoreFor } from "../../ports.ts";
import { version } from "../../version.ts";
import { composeUpstream } from "./compose-upstream.ts";
import { createFirstKeys } from "./create-first-keys.ts";
import { listen } from "./listen.ts";
import { loadSettings } from "./load-settings.ts";
import { lockDataDir } from "./lock-data-dir.ts";
import { openAudit } from "./open-audit.ts";
import { openRateLimiter } from "./open-rate-limiter.ts";
import { openEnvironmentCache } from "./open-environment-cache.ts";
import { openKeys } from "./open-keys.ts";
import { startAdminListener } from "./start-admin-listener.ts";
import { stopOnSignal } from "./stop-on-signal.ts";

/** `start`: composes the proxy on Node and serves until a signal. */
export async function startCommand(parsed: ParsedCommand): Promise<void> {
  const settings = loadSettings(parsed);
  const output = bufferLines((text) => void process.stdout.write(text), setImmediate);
  const log = createConsoleTelemetry(settings.log, output.write, systemClock.now);
  process.once("exit", output.flush);
  // Whoever read the log may leave; the proxy stays.
  process.stdout.on("error", () => undefined);
  const onFailure = (cause: unknown): void => log({ type: "internal_error", requestId: "-", cause });
  const onKeyStoreFailure = (cause: unknown): void =>
    log({ type: "key_store_failed", requestId: "-", reason: innermostReason(cause) });
  const lock = settings.upstream.kind === "embedded" ? await lockDataDir(settings.dataDir) : null;
  const keys = await openKeys(settings, {
    onFailure: onKeyStoreFailure,
    onDamaged: (keyId) => log({ type: "key_record_damaged", keyId }),
  });
  const audit = await openAudit(settings, keys.pepper);
  const rateLimits = await openRateLimiter(settings, log);
  const keyStore = reportOutages(keys.keyStore, log);
  const kept = await openEnvironmentCache(settings, log);
  const environmentCache = kept.cache;
  const upstream = await composeUpstream(settings, keyStore, log, environmentCache);
  const keyStoreFor: KeyStoreFor = (actor) => auditKeyStore(keyStore, audit, actor, onFailure);
  const keyUses = createKeyUses({ clock: systemClock, keyStore, onFailure: onKeyStoreFailure });
  const userAgent = `letta-environments-proxy/${version}`;
  const proxy = createProxy(
    {
      clock: systemClock,
      digests: { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual },
      keyStore,
      noteKeyUse: keyUses.note,
      pepper: keys.pepper,
      randomId,
      telemetry: log,
      upstream: upstream.fetch,
      audit,
      environmentCache,
      rateLimiter: rateLimits.limiter,
      ...(upstream.findDeviceId !== undefined && { findDeviceId: upstream.findDeviceId }),
      deviceSockets:
        upstream.deviceSockets === null
          ? null
          : watchSocketKeys(upstream.deviceSockets, { clock: systemClock, keyStore, onFailure: onKeyStoreFailure }),
      fetchJwks: createHttpJwksFetch(globalThis.fetch, userAgent),
      admin: { randomBytes, keyStoreFor, findNewSharing: upstream.findNewSharing },
    },
    {
      upstream: upstream.config,
      upstreamTimeoutMs: settings.upstreamTimeoutMs,
      userAgent,
      jwt: settings.jwt,
      passThrough: settings.passThrough,
      tenants: settings.tenants,
      corsOrigins: settings.corsOrigins,
      auditContent: settings.auditContent,
      rateLimits: settings.rateLimits,
      adminListener: settings.admin,
    },
  );
  let draining = false;
  const app = createHonoApp({
    proxy,
    randomId,
    toGatewayRequest: gatewayRequestOf,
    toPath: pathOf,
    toResponse: (response, { env }) => writeResponse(response, env.outgoing),
    isDraining: () => draining,
  });
  const server = createHttpServer({ app, randomId, timeouts: defaultServerTimeouts, onFailure });
  serveWebSockets(server, proxy, onFailure);
  const connections = trackServer(server);

  const { admin } = settings;
  const adminListener = admin === null ? null : await startAdminListener(admin, proxy, onFailure);
  const url = await listen(server, settings.host, settings.port).catch(async (cause: unknown) => {
    await adminListener?.connections.close();
    throw cause;
  });
  if (adminListener !== null) log({ type: "admin_listening", url: adminListener.url });
  log({ type: "listening", url });
  if (settings.log === "pretty") {
    output.flush();
    await createFirstKeys(keys, keyStoreFor, upstream.deviceSockets !== null, settings.publicUrl ?? url);
  }

  stopOnSignal({
    log,
    // What has begun is finished before devices are let go: a send waits for its device's word.
    async stop(graceMs) {
      draining = true;
      await Promise.all([connections.finishRequests(graceMs), adminListener?.connections.finishRequests(graceMs)]);
      await upstream.close();
      await Promise.all([connections.close(), adminListener?.connections.close()]);
      await keyUses.flush();
      await audit.close().catch(onFailure);
      const { writer, sequence, hash } = audit.end();
      log({ type: "audit_end", writer, sequence, hash });
      rateLimits.close();
      kept.close();
      keys.close();
      lock?.release();
    },
  });
}
