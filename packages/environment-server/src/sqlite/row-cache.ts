/**
 * A cache of environments and connections. Reading and parsing a row takes longer than the rest of a request. A change by this process evicts its
 * entries. A change by another process, which SQLite counts, clears the cache. While a row is cached, every read returns the same object.
 */
import type { SqliteDatabase, SqliteRow } from "@letta-environments/platform";
import type { ConnectionRecord, EnvironmentRow } from "../ports.ts";
import { environmentColumns, readEnvironment, readInteger, readOptionalText, readText } from "./columns.ts";

/** Rows and connections that were read and have not changed since. */
export interface RowCache {
  findConnection(tenant: string, connectionId: string): ConnectionRecord | null;
  /** The rows of a device, one for each of its listeners. */
  rowsOfDevice(tenant: string, deviceId: string): readonly EnvironmentRow[];
  /** The rows with these ids, in their order, without those that do not exist. */
  rowsById(environmentIds: readonly string[]): readonly EnvironmentRow[];
  /** The ids of a page of a list. `read` reads them if the page is not cached. */
  page(key: string, read: () => readonly string[]): readonly string[];
  /** Forgets a row and its connections. Call it in the transaction that changes them. */
  forget(environmentId: string): void;
  /** Forgets which rows belong to a device, and all pages. */
  forgetDeviceAndPages(tenant: string, deviceId: string): void;
  clear(): void;
}

/** Maximum number of cached rows, and of connections and devices. Above it, all are evicted. */
const maxRows = 2_048;

/** Maximum number of cached pages, of up to 101 ids each. */
const maxPages = 256;

/** Rows with longer metadata, in characters of JSON, are not remembered. Real devices send about 700. */
const maxMetadataLength = 2_048;

function prepareReads(database: SqliteDatabase) {
  return {
    connection: database.prepare(`
      SELECT connection.id AS connection_id, connection.generation, connection.key_id,
        connection.opened_at IS NOT NULL AS opened, connection.replaced_at IS NOT NULL AS replaced,
        connection.generation = (SELECT max(generation) FROM environment_connection AS other
          WHERE other.environment_id = connection.environment_id) AS latest,
        ${environmentColumns}
      FROM environment_connection AS connection JOIN environment ON environment.id = connection.environment_id
      WHERE connection.id = ? AND environment.tenant = ?`),
    device: database.prepare(`SELECT ${environmentColumns} FROM environment WHERE tenant = ? AND device_id = ?`),
    rows: database.prepare(
      `SELECT ${environmentColumns} FROM environment WHERE id IN (SELECT value FROM json_each(?))`,
    ),
    // SQLite changes this number with every commit by another connection to the file, but not by this one.
    version: database.prepare("PRAGMA data_version"),
  };
}

export function createRowCache(database: SqliteDatabase): RowCache {
  const reads = prepareReads(database);
  let version: unknown = null;
  const rows = new Map<string, EnvironmentRow>();
  const connections = new Map<string, ConnectionRecord>();
  const devices = new Map<string, readonly EnvironmentRow[]>();
  const pages = new Map<string, readonly string[]>();

  function clear(): void {
    rows.clear();
    connections.clear();
    devices.clear();
    pages.clear();
  }

  /** Call it before the cache is used for a request. */
  function refresh(): void {
    const current = reads.version.get()?.["data_version"];
    const isFull = Math.max(rows.size, connections.size, devices.size) >= maxRows || pages.size >= maxPages;
    if (current !== version || isFull) clear();
    version = current;
  }

  /** Whether a cached row is still current. If not, everything that was read together with it is read again. */
  function isCurrent(row: EnvironmentRow): boolean {
    return rows.get(row.id) === row;
  }

  function remember(row: SqliteRow): EnvironmentRow {
    const id = readText(row, "id");
    const known = rows.get(id);
    if (known !== undefined) return known;
    const environment = readEnvironment(row);
    if ((readOptionalText(row, "metadata")?.length ?? 0) <= maxMetadataLength) rows.set(id, environment);
    return environment;
  }

  return {
    findConnection(tenant, connectionId) {
      refresh();
      const known = connections.get(connectionId);
      if (known?.environment.tenant === tenant && isCurrent(known.environment)) return known;
      const row = reads.connection.get(connectionId, tenant);
      if (row === undefined) return null;
      const record = readConnection(row, remember(row));
      connections.set(connectionId, record);
      return record;
    },
    rowsOfDevice(tenant, deviceId) {
      refresh();
      const key = deviceKey(tenant, deviceId);
      const known = devices.get(key);
      if (known?.every(isCurrent) === true) return known;
      const found = reads.device.all(tenant, deviceId).map(remember);
      // Names that do not exist would fill the memory.
      if (found.length > 0) devices.set(key, found);
      return found;
    },
    rowsById(environmentIds) {
      refresh();
      const missing = environmentIds.filter((id) => !rows.has(id));
      const read = missing.length === 0 ? [] : reads.rows.all(JSON.stringify(missing)).map(remember);
      const readRows = new Map(read.map((row) => [row.id, row]));
      return environmentIds.flatMap((id) => rows.get(id) ?? readRows.get(id) ?? []);
    },
    page(key, read) {
      refresh();
      const ids = pages.get(key) ?? read();
      pages.set(key, ids);
      return ids;
    },
    forget: (environmentId) => void rows.delete(environmentId),
    forgetDeviceAndPages(tenant, deviceId) {
      devices.delete(deviceKey(tenant, deviceId));
      pages.clear();
    },
    clear,
  };
}

function deviceKey(tenant: string, deviceId: string): string {
  return `${tenant}\n${deviceId}`;
}

function readConnection(row: SqliteRow, environment: EnvironmentRow): ConnectionRecord {
  return {
    connectionId: readText(row, "connection_id"),
    generation: readInteger(row, "generation"),
    keyId: readText(row, "key_id"),
    opened: readInteger(row, "opened") === 1,
    replaced: readInteger(row, "replaced") === 1,
    latest: readInteger(row, "latest") === 1,
    environment,
  };
}
