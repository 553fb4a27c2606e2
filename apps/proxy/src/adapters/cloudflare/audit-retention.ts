/**
 * Retention of an audit log in a Durable Object (`audit.retentionDays`). Its alarm drops old records, a limited number at a time, because the
 * platform limits the time of an alarm. No record is written about that: it would begin another chain, which would have to be dropped later.
 */
import {
  constantTimeEqual,
  type DurableStorage,
  hmacSha256Hex,
  openDurableSqlite,
  sha256Hex,
  systemClock,
} from "@letta-environments/platform/cloudflare";
import type { Sealing } from "../../audit/chain.ts";
import { dropOldRecords } from "../../audit/retention.ts";
import { pepperOf } from "../../keys/pepper.ts";
import { isJsonObject, parseJson } from "../../lib/json.ts";
import { droppedTable } from "../sqlite/audit-migrations.ts";
import { createSqliteAuditRetention } from "../sqlite/audit-store.ts";
import { createConsoleLogWriter } from "../log.ts";

/** The bindings of an object with an audit log. */
export interface AuditObjectBindings {
  readonly KEY_PEPPER?: string;
  readonly PROXY_CONFIG?: unknown;
}

export const dayMs = 86_400_000;
/** The pause before the next part, in milliseconds. */
const nextPartMs = 1_000;
/** The maximum numbers of chains and records in a part. The last batch may exceed the latter. */
const maxChains = 20;
const maxRecords = 5_000;

const log = createConsoleLogWriter(systemClock.now);

/** Returns the hashes and the pepper of a log. */
export function sealingOf({ KEY_PEPPER = "" }: AuditObjectBindings): Sealing {
  const digests = { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual };
  return { digests, pepper: pepperOf(KEY_PEPPER, hmacSha256Hex) };
}

/** Drops old records. Resolves with the milliseconds after which it should be called again; `null` while nothing can become old. */
export async function dropOldObjectRecords(
  storage: DurableStorage,
  bindings: AuditObjectBindings,
  nowMs: number,
): Promise<number | null> {
  const days = retentionDaysOf(bindings);
  const exists = (table: string): boolean =>
    storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = ?", table).toArray().length > 0;
  if (days === null || !exists("audit_records")) return null;
  const database = openDurableSqlite(storage);
  const transactions = { write: async <Result>(run: () => Result) => database.transaction(run) };
  try {
    if (!exists("audit_dropped")) database.transaction(() => database.exec(droppedTable));
    const store = createSqliteAuditRetention(database, maxChains);
    const before = nowMs - days * dayMs;
    const { records, chains, damaged } = await dropOldRecords(
      store,
      transactions,
      sealingOf(bindings),
      before,
      maxRecords,
    );
    if (records > 0) log({ type: "audit_records_dropped", records, chains });
    if (damaged !== null) log({ type: "audit_failed", requestId: "-", cause: notIntact });
    else if (records >= maxRecords || chains === maxChains) return nextPartMs;
    return store.heads().length === 0 ? null : dayMs;
  } catch (cause) {
    log({ type: "audit_failed", requestId: "-", cause });
    return dayMs;
  }
}

const notIntact = "the audit log of an object is not intact, so its old records are kept";

/** Reads the setting like `runtimes/cloudflare/settings.ts`, which validates it. If the value is invalid, nothing is dropped. */
function retentionDaysOf({ PROXY_CONFIG: config }: AuditObjectBindings): number | null {
  const file = typeof config === "string" ? parseJson(config) : config;
  const audit = isJsonObject(file) ? file["audit"] : null;
  const days = isJsonObject(audit) ? audit["retentionDays"] : null;
  return typeof days === "number" && days >= 1 ? days : null;
}
