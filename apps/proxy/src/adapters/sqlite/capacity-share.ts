/**
 * Divides the room for ids of sends among the tenants of one file: the last quarter is for tenants that have at most an eighth, so that one tenant
 * cannot make the gateway refuse the sends of the others for a day.
 */
import type { Clock, SqliteDatabase } from "@letta-environments/platform";
import { createBoundedMap } from "../../lib/bounded-map.ts";
import type { CapacityShare } from "./idempotency-tables.ts";

/** How long a count of a tenant's ids is used, in milliseconds: counting takes some milliseconds. */
const countMs = 10_000;
/** The most tenants whose counts are remembered. */
const maxTenants = 1_000;

/** Creates a {@link CapacityShare} over a database that has the tables of sends. */
export function createCapacityShare(
  database: SqliteDatabase,
  clock: Pick<Clock, "monotonic">,
  capacity: number,
): CapacityShare {
  const kept = Math.floor(capacity / 4);
  const most = Math.floor(capacity / 8);
  const countBetween = database.prepare(
    "SELECT count(*) AS count FROM (SELECT 1 FROM send_ids WHERE key >= ? AND key < ? LIMIT ?)",
  );
  const counted = createBoundedMap<{ ids: number; readonly untilMs: number }>(maxTenants);

  function countIds(tenant: string): number {
    // The keys of a tenant begin with its name in JSON and a comma. A hyphen comes after the comma.
    const start = JSON.stringify([tenant]).slice(0, -1);
    return Number(countBetween.get(`${start},`, `${start}-`, most + 1)?.["count"]);
  }

  return {
    kept,
    mayUse(tenant, idCount) {
      const nowMs = clock.monotonic();
      let known = counted.get(tenant);
      if (known === undefined || nowMs >= known.untilMs) {
        known = { ids: countIds(tenant), untilMs: nowMs + countMs };
        counted.set(tenant, known);
      }
      if (known.ids + idCount > most) return false;
      known.ids += idCount;
      return true;
    },
  };
}
