import type { SqliteDatabase } from "@letta-environments/platform";
import { type DeviceLabels, sortTags } from "@letta-environments/schema";
import { environmentByDevice, readOptionalText, readTags } from "./columns.ts";

/** Statements for the labels of a device, which all its rows share. Run them in a transaction. */
interface SqliteLabels {
  /** The labels of a device; `null` if it has no rows. */
  read(tenant: string, deviceId: string): DeviceLabels | null;
  save(tenant: string, deviceId: string, labels: DeviceLabels): void;
  /** Gives all rows of a device, including a new one, its earlier labels and those that come with a new owner. */
  join(tenant: string, deviceId: string, present: DeviceLabels | null, given: DeviceLabels | null): void;
}

/** Prepares {@link SqliteLabels}. */
export function prepareLabels(database: SqliteDatabase): SqliteLabels {
  const find = database.prepare(
    `SELECT display_name, tags FROM environment INDEXED BY ${environmentByDevice} WHERE tenant = ? AND device_id = ? LIMIT 1`,
  );
  const update = database.prepare(
    "UPDATE environment SET display_name = ?, tags = ? WHERE tenant = ? AND device_id = ?",
  );

  function save(tenant: string, deviceId: string, { displayName, tags }: DeviceLabels): void {
    update.run(displayName, JSON.stringify(tags), tenant, deviceId);
  }

  return {
    save,
    read(tenant, deviceId) {
      const row = find.get(tenant, deviceId);
      return row === undefined ? null : { displayName: readOptionalText(row, "display_name"), tags: readTags(row) };
    },
    join(tenant, deviceId, present, given) {
      if (present === null && given === null) return;
      const displayName = given?.displayName ?? present?.displayName ?? null;
      save(tenant, deviceId, { displayName, tags: sortTags([...(present?.tags ?? []), ...(given?.tags ?? [])]) });
    },
  };
}
