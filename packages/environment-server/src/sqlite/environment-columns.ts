import type { SqliteRow } from "@letta-environments/platform";
import { EnvironmentMetadataSchema, type EnvironmentMetadata } from "@letta-environments/schema";
import { parse } from "valibot";
import type { EnvironmentRow } from "../ports.ts";
import { readInteger, readOptionalText, readText } from "./read-column.ts";

/** The columns of {@link readEnvironment}. */
export const environmentColumns: string = [
  "id",
  "tenant",
  "device_id",
  "listener_instance_id",
  "connection_name",
  "metadata",
  "owner",
  "first_seen_at",
  "last_seen_at",
  "current_mode",
  "working_directory",
  "git_branch",
]
  .map((column) => `environment.${column}`)
  .join(", ");

/** Reads a row that has {@link environmentColumns}. */
export function readEnvironment(row: SqliteRow): EnvironmentRow {
  return {
    id: readText(row, "id"),
    tenant: readText(row, "tenant"),
    deviceId: readText(row, "device_id"),
    listenerInstanceId: readText(row, "listener_instance_id"),
    connectionName: readText(row, "connection_name"),
    metadata: readMetadata(readOptionalText(row, "metadata")),
    owner: readText(row, "owner"),
    firstSeenAt: readInteger(row, "first_seen_at"),
    lastSeenAt: readInteger(row, "last_seen_at"),
    currentMode: readOptionalText(row, "current_mode"),
    workingDirectory: readOptionalText(row, "working_directory"),
    gitBranch: readOptionalText(row, "git_branch"),
  };
}

function readMetadata(json: string | null): EnvironmentMetadata | null {
  return json === null ? null : parse(EnvironmentMetadataSchema, JSON.parse(json));
}
