/** Drops old records of the audit log while the gateway runs, if the settings say so: after the start, and then once a day. */
import { systemClock } from "@letta-environments/platform/node";
import type { LogEvent } from "../../adapters/log-event.ts";
import { retentionNow } from "../../audit/retention.ts";
import type { Settings } from "../../config/settings.ts";
import type { OpenAudit } from "./audit.ts";

const dayMs = 86_400_000;

/** Shortly after the start, which needs the disk for other work. */
const firstDelayMs = 60_000;

/** Starts it, and returns a function that ends it. */
export function keepAuditRetention(
  audit: Pick<OpenAudit, "dropBefore" | "newestBefore">,
  settings: () => Pick<Settings, "auditRetentionDays">,
  log: (event: LogEvent) => void,
): () => void {
  const startedAtMs = systemClock.monotonic();
  const newestMs = audit.newestBefore ?? systemClock.now();
  let cancel = systemClock.setTimer(firstDelayMs, drop);

  function drop(): void {
    cancel = systemClock.setTimer(dayMs, drop);
    const { auditRetentionDays: days } = settings();
    if (days === null) return;
    const elapsedMs = systemClock.monotonic() - startedAtMs;
    const now = retentionNow({ nowMs: systemClock.now(), newestMs, elapsedMs });
    audit.dropBefore(now - days * dayMs, null).then(
      ({ records, chains, damaged }) => {
        if (records > 0) log({ type: "audit_records_dropped", records, chains });
        if (damaged !== null) log({ type: "audit_failed", requestId: "-", cause: notIntact });
      },
      (cause: unknown) => log({ type: "audit_failed", requestId: "-", cause }),
    );
  }

  return () => cancel();
}

const notIntact = "the audit log is not intact, so its old records are kept: see 'letta-proxy audit verify'";
