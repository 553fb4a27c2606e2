import { DurableObject, type DurableObjectContext } from "cloudflare:workers";
import {
  constantTimeEqual,
  hmacSha256Hex,
  openDurableSqlite,
  randomId,
  sha256Hex,
  systemClock,
} from "@letta-environments/platform/cloudflare";
import type { AuditEntry } from "../../audit/audit-entry.ts";
import { type OpenAuditLog, openAuditLog } from "../../audit/audit-log.ts";
import { version } from "../../version.ts";
import { pepperOf } from "../pepper-of.ts";
import { createSqliteAuditStore } from "../sqlite-audit-store.ts";

/** What the gateway asks of {@link AuditObject}, as it is called from elsewhere. */
export interface AuditObjectStub {
  /** Resolves when the entry is durable. */
  append(entry: AuditEntry): Promise<void>;
}

/** What the object is given beside its storage. */
export interface AuditObjectBindings {
  readonly KEY_PEPPER?: string;
}

/**
 * The Durable Object that has the audit log: one for all. Each time that it starts it begins a chain of its own, as a process does, which notes
 * the ends of the earlier ones. An answer leaves it when what it wrote is confirmed on disk.
 */
export class AuditObject extends DurableObject<AuditObjectBindings> {
  readonly #opening: Promise<OpenAuditLog>;

  constructor(ctx: DurableObjectContext, env: AuditObjectBindings) {
    super(ctx, env);
    this.#opening = openAuditLog({
      store: createSqliteAuditStore(openDurableSqlite(ctx.storage)),
      clock: systemClock,
      writer: randomId("writer"),
      version,
      digests: { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual },
      pepper: pepperOf(env.KEY_PEPPER ?? "", hmacSha256Hex),
      defer: (run) => void setTimeout(run, 0),
    });
    // Whoever appends is told.
    this.#opening.catch(() => undefined);
  }

  async append(entry: AuditEntry): Promise<void> {
    const log = await this.#opening;
    await log.append(entry);
  }
}
