/** Gateway keys inside a Durable Object, and the values that cross to its callers. Isolates use them through `key-store.ts`. */
import { DurableObject, type DurableObjectContext } from "cloudflare:workers";
import { openDurableSqlite } from "@letta-environments/platform/cloudflare";
import type { KeyUse } from "../../ports.ts";
import type { KeySummary } from "../../keys/key-record.ts";
import type { KeyText } from "../key-search.ts";
import { keyIndexes, prepareKeyParts } from "../sqlite/key-parts.ts";
import { keyTables, saveUseSql } from "../sqlite/key-store.ts";
import type { ObjectStub } from "./object-call.ts";

/** The result of a call, and the number of changes by then, which is never older than the result. */
export interface KeyResult<Value> {
  readonly value: Value;
  readonly changes: number;
}

export type KeyObjectStub = ObjectStub<KeyObject>;

/**
 * The Durable Object that has the gateway keys: one for all gateways, so that all changes have one order. It stores digests only, and
 * treats records as text; its callers validate them.
 */
export class KeyObject extends DurableObject {
  readonly #database = openDurableSqlite(this.ctx.storage);
  readonly #parts = prepareKeyParts(this.#database);

  constructor(ctx: DurableObjectContext, env: unknown) {
    super(ctx, env);
    this.#database.transaction(() => this.#database.exec(keyTables + keyIndexes));
  }

  find(id: string): KeyResult<string | null> {
    const row = this.#database.prepare("SELECT record FROM keys WHERE id = ?").get(id);
    return this.#result(row === undefined ? null : String(row["record"]));
  }

  /** Without a size, as earlier versions call it, all keys, which together may be too long for a result. */
  list(after?: string, size?: number, tenant?: string): KeyResult<readonly KeyText[]> {
    return this.#result(this.#parts.read(after, size, tenant));
  }

  summarize(nowMs: number): KeyResult<KeySummary> {
    return this.#result(this.#parts.summarize(nowMs));
  }

  /** False when the id is taken. */
  insert(id: string, createdAt: number, text: string): KeyResult<boolean> {
    const sql = "INSERT INTO keys (id, created_at, record) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING";
    return this.#result(this.#database.prepare(sql).run(id, createdAt, text).changes > 0);
  }

  /** False when the record is no longer `before`. */
  replace(id: string, before: string, text: string): KeyResult<boolean> {
    const sql = "UPDATE keys SET record = ? WHERE id = ? AND record = ?";
    return this.#result(this.#database.prepare(sql).run(text, id, before).changes > 0);
  }

  recordUse(uses: readonly KeyUse[]): void {
    const save = this.#database.prepare(saveUseSql);
    this.#database.transaction(() => {
      for (const { id, usedAt } of uses) save.run(usedAt, id);
    });
  }

  lastUses(): readonly (readonly [id: string, usedAt: number])[] {
    const rows = this.#database.prepare("SELECT id, used_at FROM key_uses").all();
    return rows.map((row) => [String(row["id"]), Number(row["used_at"])] as const);
  }

  changes(): number {
    return Number(this.#database.prepare("SELECT count FROM key_changes").get()?.["count"] ?? 0);
  }

  #result<Value>(value: Value): KeyResult<Value> {
    return { value, changes: this.changes() };
  }
}
