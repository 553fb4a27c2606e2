/** The events that runtimes log, the level of each, and the outcome of each request in the log. */
import type { EnvironmentServerEvent } from "@letta-environments/environment-server";
import { type LogLevel, logLevels } from "../config/file.ts";
import type { ReloadEvent } from "../config/reload.ts";
import type { SettingProblem } from "../lib/setting-rules.ts";
import { hostOperations, type ProxyEvent } from "../telemetry.ts";
import type { OtlpEvent } from "./otlp.ts";

/** Everything a runtime logs. */
export type LogEvent =
  | ProxyEvent
  | EnvironmentServerEvent
  | ReloadEvent
  | OtlpEvent
  /** The gateway listens on the address `host`; this machine reaches it under the URL. */
  | { readonly type: "listening"; readonly url: string; readonly host: string }
  /** Requests were refused and connections closed in the last second, because there were too many. */
  | {
      readonly type: "overloaded";
      readonly refusedRequests: number;
      readonly closedConnections: number;
      readonly inFlight: number;
    }
  | { readonly type: "admin_listening"; readonly url: string; readonly host: string }
  | { readonly type: "stopping"; readonly signal: string }
  /** A check of `/readyz` failed, or passes again. */
  | { readonly type: "readiness_failed"; readonly check: string; readonly cause: unknown }
  | { readonly type: "readiness_recovered"; readonly check: string }
  /** Retention dropped old records of the audit log. */
  | { readonly type: "audit_records_dropped"; readonly records: number; readonly chains: number }
  /** Restrictions of these keys are not enforced. Reported at the start, and when the configuration changes. */
  | { readonly type: "shadow_mode"; readonly keyIds: readonly string[]; readonly rules: readonly string[] }
  | { readonly type: "stopped" }
  /** Lines of the log were dropped, because nobody read it. */
  | { readonly type: "log_dropped"; readonly lines: number }
  /** `KEY_PEPPER` is too short for new installations, but keys exist that need it. */
  | { readonly type: "short_pepper" }
  /** No keys are stored, but the audit log names some. Reported at the start. */
  | { readonly type: "keys_missing" }
  /** No request has a credential for the upstream, which may not need one. Reported at the start, and when the configuration changes. */
  | { readonly type: "no_upstream_credential" }
  /** Settings of a Worker break rules, so nothing is served. The event does not contain their values. */
  | { readonly type: "not_configured"; readonly problems: readonly SettingProblem[] }
  /** The end of this process's audit log. Stored with the log, it proves that no earlier record was removed. */
  | { readonly type: "audit_end"; readonly writer: string; readonly sequence: number; readonly hash: string };

/** Events about frames and details that matter only for debugging. */
const debugEvents: ReadonlySet<LogEvent["type"]> = new Set<LogEvent["type"]>([
  "device_changed",
  "frame_ignored",
  "message_sent",
]);

/** Something does not work as it should, but the gateway goes on. */
const warnings: ReadonlySet<LogEvent["type"]> = new Set<LogEvent["type"]>([
  "agents_api_missing",
  "cache_failed",
  "configuration_refused",
  "credential_file_failed",
  "jwks_failed",
  "jwks_key_refused",
  "key_record_damaged",
  "key_unsupported",
  "keys_missing",
  "no_upstream_credential",
  "otlp_failed",
  "overloaded",
  "pass_through_refused",
  "rate_limits_degraded",
  "shadow_mode",
  "short_pepper",
  "socket_shadowed",
  "upstream_failed",
]);

/** Events that an operator must look at. */
const errors: ReadonlySet<LogEvent["type"]> = new Set<LogEvent["type"]>([
  "audit_failed",
  "idempotency_failed",
  "internal_error",
  "key_store_failed",
  "log_dropped",
  "not_configured",
  "readiness_failed",
  "request_failed",
  "store_failed",
  "upstream_credential_rejected",
  "upstream_down",
]);

/**
 * Returns the level of an event. For a request, it depends on the status: 5xx is a warning, because the failure itself has a separate event.
 * Probes and the files of pages are `debug`.
 */
export function levelOf(event: LogEvent): LogLevel {
  if (event.type === "request") {
    if (isRoutine(event.operation, event.status)) return "debug";
    return event.status >= 500 ? "warn" : "info";
  }
  if (errors.has(event.type)) return "error";
  if (warnings.has(event.type)) return "warn";
  return debugEvents.has(event.type) ? "debug" : "info";
}

/**
 * Whether a request is routine: a probe, or a file that was served. Probes come every few seconds and a page loads a dozen files, so their
 * lines have the level `debug`. A failing readiness check has its own event.
 */
function isRoutine(operation: string | null, status: number): boolean {
  if (operation === null || !Object.hasOwn(hostOperations, operation)) return false;
  return status < 400 || (operation === "checkReadiness" && status === 503);
}

/** Returns a function that passes on events of a level or a higher one. */
export function filterByLevel(level: LogLevel, log: (event: LogEvent) => void): (event: LogEvent) => void {
  if (logLevels.indexOf(level) === 0) return log;
  return (event) => {
    if (isAtLeast(event, level)) log(event);
  };
}

/** Whether an event has a level or a higher one. */
export function isAtLeast(event: LogEvent, level: LogLevel): boolean {
  return logLevels.indexOf(levelOf(event)) >= logLevels.indexOf(level);
}

/** Returns how a request with a status ended. `gone`: its caller had disconnected. */
export function outcomeOf(status: number): "ok" | "refused" | "failed" | "gone" {
  if (status === 499) return "gone";
  if (status >= 500) return "failed";
  return status >= 400 ? "refused" : "ok";
}
