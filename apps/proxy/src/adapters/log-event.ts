/** The events that runtimes log. */
import type { EnvironmentServerEvent } from "@letta-environments/environment-server";
import type { ReloadEvent } from "../config/reload.ts";
import type { SettingProblem } from "../lib/setting-rules.ts";
import type { ProxyEvent } from "../telemetry.ts";
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
