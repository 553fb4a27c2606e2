/**
 * Enrols a device: finds or creates the row of a device and listener, for the key that owns the device. The rows of its other
 * listeners stay unchanged.
 */
import type { SqliteDatabase } from "@letta-environments/platform";
import { matchesNamePattern } from "@letta-environments/schema";
import { maxConnectionsPerEnvironment } from "../limits.ts";
import type { Enrolment, EnrolmentResult } from "../ports.ts";
import { environmentByDevice, readInteger, readOptionalText, readText } from "./columns.ts";
import { prepareLabels } from "./devices.ts";
import type { RowCache } from "./row-cache.ts";

/** Prepares `enrol` of the port `EnvironmentRows`, to be run in a transaction. */
export function prepareEnrol(database: SqliteDatabase, cache: RowCache): (enrolment: Enrolment) => EnrolmentResult {
  const findDevice = database.prepare("SELECT owner_key_id FROM environment_device WHERE tenant = ? AND device_id = ?");
  const insertDevice = database.prepare(
    "INSERT INTO environment_device (tenant, device_id, owner_key_id) VALUES (?, ?, ?)",
  );
  const findEnvironment = database.prepare(
    "SELECT id, key_id FROM environment WHERE tenant = ? AND device_id = ? AND listener_instance_id = ?",
  );
  const labels = prepareLabels(database);
  const findNames = database.prepare(
    `SELECT connection_name FROM environment INDEXED BY ${environmentByDevice} WHERE tenant = ? AND device_id = ?`,
  );
  const countEnvironments = database.prepare(
    "SELECT count(*) AS count FROM environment WHERE tenant = ? AND key_id = ?",
  );
  const putEnvironment = database.prepare(`
    INSERT INTO environment (id, tenant, device_id, listener_instance_id, connection_name, metadata, owner,
      first_seen_at, last_seen_at, key_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET connection_name = excluded.connection_name, metadata = excluded.metadata,
      owner = excluded.owner, key_id = excluded.key_id, last_seen_at = excluded.last_seen_at`);
  const findGeneration = database.prepare(
    "SELECT coalesce(max(generation), 0) AS generation FROM environment_connection WHERE environment_id = ?",
  );
  const insertConnection = database.prepare(`
    INSERT INTO environment_connection (id, environment_id, generation, key_id, registered_at) VALUES (?, ?, ?, ?, ?)`);
  // The connection with the open socket stays, however often the device registers again.
  const forgetConnections = database.prepare(`
    DELETE FROM environment_connection WHERE environment_id = ? AND generation <= ?
      AND (opened_at IS NULL OR replaced_at IS NOT NULL)`);

  function hasOtherName({ tenant, deviceId, knownNames }: Enrolment): boolean {
    if (knownNames === null) return false;
    return findNames
      .all(tenant, deviceId)
      .map((row) => readText(row, "connection_name"))
      .some((name) => !knownNames.some((pattern) => matchesNamePattern(pattern, name)));
  }

  function enrol(enrolment: Enrolment): EnrolmentResult {
    const { tenant, deviceId, listenerInstanceId, keyId, nowMs } = enrolment;
    const device = findDevice.get(tenant, deviceId);
    const ownerKeyId = device === undefined ? null : readOptionalText(device, "owner_key_id");
    if (ownerKeyId !== null && ownerKeyId !== keyId) return { kind: "owned_by_another_key" };
    if (ownerKeyId === null && hasOtherName(enrolment)) return { kind: "not_allowed" };
    const known = findEnvironment.get(tenant, deviceId, listenerInstanceId);
    const isCounted = known !== undefined && readOptionalText(known, "key_id") === keyId;
    if (!isCounted && readInteger(countEnvironments.get(tenant, keyId), "count") >= enrolment.maxEnvironments) {
      return { kind: "too_many_environments" };
    }
    if (device === undefined) insertDevice.run(tenant, deviceId, enrolment.shared ? null : keyId);
    const given = device === undefined ? enrolment.labels : null;
    const current = known === undefined || given !== null ? labels.read(tenant, deviceId) : null;
    const environmentId = known === undefined ? enrolment.environmentId : readText(known, "id");
    const metadata = enrolment.metadata === null ? null : JSON.stringify(enrolment.metadata);
    const { connectionName, owner } = enrolment;
    if (given === null) cache.forget(environmentId);
    else cache.clear();
    cache.forgetDeviceAndPages(tenant, deviceId);
    putEnvironment.run(
      environmentId,
      tenant,
      deviceId,
      listenerInstanceId,
      connectionName,
      metadata,
      owner,
      nowMs,
      nowMs,
      keyId,
    );
    labels.join(tenant, deviceId, current, given);
    const generation = readInteger(findGeneration.get(environmentId), "generation") + 1;
    insertConnection.run(enrolment.connectionId, environmentId, generation, keyId, nowMs);
    forgetConnections.run(environmentId, generation - maxConnectionsPerEnvironment);
    return { kind: "enrolled", environmentId };
  }

  return enrol;
}
