import { DurableObject, type DurableObjectContext } from "cloudflare:workers";
import type { AuditEntry } from "../../audit/entry.ts";
import type { OpenAuditLog } from "../../audit/log.ts";
import { openObjectAuditLog } from "./open-object-audit-log.ts";

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
 * The Durable Object that has the audit log: one for all. Each time that it starts it begins a chain of its own with the first entry, as a process
 * does, which notes the ends of the earlier ones. An answer leaves it when what it wrote is confirmed on disk.
 */
export class AuditObject extends DurableObject<AuditObjectBindings> {
  readonly #context: DurableObjectContext;
  #opening: Promise<OpenAuditLog> | null = null;

  constructor(ctx: DurableObjectContext, env: AuditObjectBindings) {
    super(ctx, env);
    this.#context = ctx;
  }

  async append(entry: AuditEntry): Promise<void> {
    this.#opening ??= this.#open();
    const log = await this.#opening;
    await log.append(entry);
  }

  async #open(): Promise<OpenAuditLog> {
    try {
      return await openObjectAuditLog(this.#context.storage, this.env.KEY_PEPPER ?? "");
    } catch (cause) {
      this.#opening = null;
      throw cause;
    }
  }
}
