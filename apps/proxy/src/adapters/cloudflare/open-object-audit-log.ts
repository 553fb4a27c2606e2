import {
  constantTimeEqual,
  type DurableStorage,
  hmacSha256Hex,
  openDurableSqlite,
  randomId,
  sha256Hex,
  systemClock,
} from "@letta-environments/platform/cloudflare";
import { type OpenAuditLog, openAuditLog } from "../../audit/audit-log.ts";
import { version } from "../../version.ts";
import { pepperOf } from "../pepper-of.ts";
import { auditTables, createSqliteAuditChains } from "../sqlite-audit-chains.ts";

/** Begins a chain of the audit log in the storage of a Durable Object. */
export function openObjectAuditLog(storage: DurableStorage, keyPepper: string): Promise<OpenAuditLog> {
  const database = openDurableSqlite(storage);
  database.transaction(() => database.exec(auditTables));
  return openAuditLog({
    store: createSqliteAuditChains(database),
    clock: systemClock,
    writer: randomId("writer"),
    version,
    digests: { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual },
    pepper: pepperOf(keyPepper, hmacSha256Hex),
    defer: (run) => void setTimeout(run, 0),
  });
}
