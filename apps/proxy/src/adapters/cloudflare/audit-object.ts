import { DurableObject, type DurableObjectContext } from "cloudflare:workers";
import {
  constantTimeEqual,
  type DurableStorage,
  hmacSha256Hex,
  openDurableSqlite,
  randomId,
  sha256Hex,
  systemClock,
} from "@letta-environments/platform/cloudflare";
import type { AuditEntry } from "../../audit/entry.ts";
import { type OpenAuditLog, openAuditLog } from "../../audit/log.ts";
import { version } from "../../version.ts";
import { pepperOf } from "../../keys/key-lifecycle.ts";
import { auditTables } from "../sqlite/audit-migrations.ts";
import { createSqliteAuditChains } from "../sqlite/audit-store.ts";
import { createGroupCommit } from "../sqlite/group-commit.ts";

/** The bindings of {@link AuditObject}. */
export interface AuditObjectBindings {
  readonly KEY_PEPPER?: string;
}

/**
 * The Durable Object that has the audit log: one for all gateways. Each time it starts, it begins a new chain with the first entry,
 * as a process does, which records the ends of the earlier chains. A response leaves the object once its writes are on disk.
 */
export class AuditObject extends DurableObject<AuditObjectBindings> {
  readonly #storage: DurableStorage;
  #opening: Promise<OpenAuditLog> | null = null;

  constructor(ctx: DurableObjectContext, env: AuditObjectBindings) {
    super(ctx, env);
    this.#storage = ctx.storage;
  }

  async append(entry: AuditEntry): Promise<void> {
    this.#opening ??= this.#open();
    const log = await this.#opening;
    await log.append(entry);
  }

  async #open(): Promise<OpenAuditLog> {
    try {
      return await openObjectAuditLog(this.#storage, this.env.KEY_PEPPER ?? "");
    } catch (cause) {
      this.#opening = null;
      throw cause;
    }
  }
}

function openObjectAuditLog(storage: DurableStorage, keyPepper: string): Promise<OpenAuditLog> {
  const database = openDurableSqlite(storage);
  database.transaction(() => database.exec(auditTables));
  return openAuditLog({
    store: createSqliteAuditChains(database),
    transactions: createGroupCommit(database, { defer: (run) => void setTimeout(run, 0) }),
    clock: systemClock,
    writer: randomId("writer"),
    version,
    digests: { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual },
    pepper: pepperOf(keyPepper, hmacSha256Hex),
  });
}
