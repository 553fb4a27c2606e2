/** Lists and summaries of gateway keys in SQLite, also in that of a Durable Object. Records can be long, so they read no more of them than they need. */
import type { SqliteDatabase } from "@letta-environments/platform";
import { callerScopes, createSummary, type KeySummary } from "../../keys/key-record.ts";
import { type KeyText, maxPartLength } from "../key-search.ts";

/** Returns the expression of a member, which is NULL for a damaged record. */
const member = (path: string): string => `json_extract(iif(json_valid(record), record, 'null'), '$.${path}')`;

const tenant = member("tenant");
/** When a key ends or has ended. A revocation is always in the past. */
const end = `iif(${member("revokedAt")} IS NULL, coalesce(${member("expiresAt")}, 9e15), 0)`;
const calls = callerScopes.map((scope) => `instr(${member("scopes")}, '"${scope}"')`).join(" + ");
/** Only the secrets of web pages that have signed in are further back. */
const newest = member("secrets[0].pepperId");
const older = member("secrets[1].pepperId");

/** Indexes that versions without them ignore, so they need no step: they are created at each start. */
export const keyIndexes = `
  CREATE INDEX IF NOT EXISTS keys_by_creation ON keys (created_at, id);
  CREATE INDEX IF NOT EXISTS keys_by_tenant ON keys (${tenant}, created_at, id, ${end}, ${calls}, ${newest}, ${older});
`;

/** Prepares the reads of a database that has the tables and {@link keyIndexes}. */
export function prepareKeyParts(database: SqliteDatabase) {
  const select = (...conditions: readonly string[]) =>
    database.prepare(`SELECT id FROM keys WHERE ${conditions.join(" AND ")} ORDER BY created_at, id LIMIT ?`);
  const isOfTenant = `${tenant} = ?`;
  const isLater = "(created_at, id) > (SELECT created_at, id FROM keys WHERE id = ?)";
  const any = select("TRUE");
  const later = select(isLater);
  const ofTenant = select(isOfTenant);
  const laterOfTenant = select(isOfTenant, isLater);
  const selectRecord = database.prepare("SELECT record FROM keys WHERE id = ?");
  // SQLite would not take the values of a GROUP BY from the index.
  const selectSummary = database.prepare(
    `SELECT DISTINCT ${tenant} AS name, iif(${end} > ?, min(1, ${calls}), NULL) AS calls, ${newest} AS newest, ${older} AS older FROM keys WHERE ${tenant} IS NOT NULL`,
  );

  return {
    /** See `ReadKeyPart`. Without a size, the part has every key. */
    read(after?: string, size?: number, ofWhom?: string): readonly KeyText[] {
      const [all, next] = ofWhom === undefined ? [any, later] : [ofTenant, laterOfTenant];
      const values = [ofWhom, after, size ?? -1].filter((value) => value !== undefined);
      const part: KeyText[] = [];
      let length = 0;
      for (const row of (after === undefined ? all : next).all(...values)) {
        const id = String(row["id"]);
        const text = String(selectRecord.get(id)?.["record"] ?? "");
        part.push([id, text]);
        length += text.length;
        if (size !== undefined && length >= maxPartLength) break;
      }
      return part;
    },
    summarize(nowMs: number): KeySummary {
      const { summary, add } = createSummary();
      for (const row of selectSummary.all(nowMs)) {
        const ids = [row["newest"], row["older"]].filter((id) => typeof id === "string");
        add(String(row["name"]), row["calls"] === null ? null : row["calls"] === 1, ids);
      }
      return summary;
    },
  };
}
