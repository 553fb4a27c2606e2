/** {@link DeviceRows} in SQLite. A change reads the rows of its device and calls `permits` within one transaction. */
import type { CommitChange, SqliteDatabase, SqliteRow, SqliteStatement } from "@letta-environments/platform";
import { type DeviceLabels, patchLabels, sortTags } from "@letta-environments/schema";
import type { DeviceFilter, DeviceRow, DeviceRows, PermitsChange } from "../ports.ts";
import {
  environmentByDevice,
  environmentColumns,
  readEnvironment,
  readInteger,
  readOptionalText,
  readTags,
  readText,
  removedTenant,
} from "./columns.ts";
import type { RemovedRows } from "./removed-rows.ts";
import type { RowCache } from "./row-cache.ts";

export function createSqliteDeviceRows(
  database: SqliteDatabase,
  commit: CommitChange,
  cache: RowCache,
  removed: RemovedRows,
): DeviceRows {
  const list = prepareList(database);
  const release = database.prepare(
    "DELETE FROM environment_device WHERE tenant = ? AND device_id = ? AND owner_key_id IS NOT NULL",
  );
  const removeDevice = database.prepare("DELETE FROM environment_device WHERE tenant = ? AND device_id = ?");
  const labels = prepareLabels(database);
  const findRemoved = database.prepare(
    "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT id FROM environment_connection)",
  );
  // SQLite changes this number with every commit by another connection to the file, but not by this one.
  const selectVersion = database.prepare("PRAGMA data_version");

  /** Runs a change on the rows of a device that `select` chooses. */
  function change(
    tenant: string,
    deviceId: string,
    permits: PermitsChange,
    run: (rows: readonly DeviceRow[], selected: readonly DeviceRow[]) => void,
    select: (row: DeviceRow) => boolean = () => true,
  ) {
    return commit(() => {
      const rows = list({ tenant, deviceId, afterId: null, limit: null });
      const selected = rows.filter(select);
      if (selected.length === 0 || !permits(selected)) return null;
      run(rows, selected);
      return selected;
    });
  }

  return {
    listDevices: async (filter) => list(filter),
    releaseDevice: (tenant, deviceId, permits) =>
      change(tenant, deviceId, permits, () => void release.run(tenant, deviceId)),
    removeDevice: (tenant, deviceId, permits, environmentId = null) =>
      change(
        tenant,
        deviceId,
        permits,
        (rows, selected) => {
          cache.clear();
          removed.hide(selected.map(({ id }) => id));
          if (selected.length === rows.length) removeDevice.run(tenant, deviceId);
        },
        ({ id }) => environmentId === null || id === environmentId,
      ),
    finishRemoval: removed.finish,
    labelDevice: (tenant, deviceId, patch, permits) =>
      change(tenant, deviceId, permits, ([row]) => {
        if (row === undefined) return;
        cache.clear();
        labels.save(tenant, deviceId, patchLabels(row, patch));
      }),
    async findRemovedConnections(connectionIds) {
      return findRemoved.all(JSON.stringify(connectionIds)).map((row) => readText(row, "value"));
    },
    readVersion: async () => readInteger(selectVersion.get(), "data_version"),
  };
}

function prepareList(database: SqliteDatabase): (filter: DeviceFilter) => readonly DeviceRow[] {
  // A released device has no row in environment_device, a shared one has a row without a key.
  const prepare = (condition: string, columns: string, index = ""): SqliteStatement =>
    database.prepare(`SELECT ${columns}, device.owner_key_id,
        device.tenant IS NOT NULL AND device.owner_key_id IS NULL AS shared
      FROM environment ${index} LEFT JOIN environment_device AS device
        ON device.tenant = environment.tenant AND device.device_id = environment.device_id
      WHERE environment.id > ? AND ${condition} ORDER BY environment.id LIMIT ?`);
  const ofDevice = prepare(
    "environment.tenant = ? AND environment.device_id = ?",
    environmentColumns,
    `INDEXED BY ${environmentByDevice}`,
  );
  // Metadata can be long, and the administration of many devices does not show it.
  const columns = environmentColumns.replace("environment.metadata", "NULL AS metadata");
  const ofTenant = prepare("environment.tenant = ?", columns);
  const ofAll = prepare(`(? IS NULL OR environment.device_id = ?) AND environment.tenant <> ${removedTenant}`, columns);

  return ({ tenant, deviceId, afterId, limit }) => {
    // SQLite reads a negative limit as no limit.
    const [start, count] = [afterId ?? "", limit ?? -1];
    if (tenant === null) return ofAll.all(start, deviceId, deviceId, count).map(readDevice);
    if (deviceId === null) return ofTenant.all(start, tenant, count).map(readDevice);
    return ofDevice.all(start, tenant, deviceId, count).map(readDevice);
  };
}

function readDevice(row: SqliteRow): DeviceRow {
  return {
    ...readEnvironment(row),
    ownerKeyId: readOptionalText(row, "owner_key_id"),
    shared: readInteger(row, "shared") === 1,
  };
}

/** Statements for the labels of a device, which all its rows share. Run them in a transaction. */
interface SqliteLabels {
  /** The labels of a device; `null` if it has no rows. */
  read(tenant: string, deviceId: string): DeviceLabels | null;
  save(tenant: string, deviceId: string, labels: DeviceLabels): void;
  /** Gives all rows of a device, including a new one, its earlier labels and those that come with a new owner. */
  join(tenant: string, deviceId: string, current: DeviceLabels | null, given: DeviceLabels | null): void;
}

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
    join(tenant, deviceId, current, given) {
      if (current === null && given === null) return;
      const displayName = given?.displayName ?? current?.displayName ?? null;
      save(tenant, deviceId, { displayName, tags: sortTags([...(current?.tags ?? []), ...(given?.tags ?? [])]) });
    },
  };
}
