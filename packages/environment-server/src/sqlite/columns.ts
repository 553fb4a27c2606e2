/** The columns of an environment, and typed access to the columns of a row. */
import type { SqliteRow } from "@letta-environments/platform";
import { EnvironmentMetadataSchema, type EnvironmentMetadata } from "@letta-environments/schema";
import { parse } from "valibot";
import type { ConversationScope, EnvironmentRow } from "../ports.ts";

/** The columns that {@link readEnvironment} needs. */
export const environmentColumns: string =
  `id, tenant, device_id, listener_instance_id, connection_name, metadata, owner, first_seen_at, last_seen_at,
  current_mode, working_directory, git_branch, display_name, tags`.replaceAll(/\w+/g, "environment.$&");

/**
 * The index of the environments of a device, which SQLite created for a `UNIQUE` constraint. If a statement does not name it, SQLite
 * prefers an index with every selected column, and reads all environments of the tenant.
 */
export const environmentByDevice = "sqlite_autoindex_environment_2";

/** The tenant of a row that was removed, in SQL, until its messages are removed too. No tenant has this name. */
export const removedTenant = "char(10)";

/** Converts a row with {@link environmentColumns}. */
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
    displayName: readOptionalText(row, "display_name"),
    tags: readTags(row),
  };
}

/** Reads the conversation of a row. */
export function readScope(row: SqliteRow): ConversationScope {
  return {
    environmentId: readText(row, "environment_id"),
    agentId: readText(row, "agent_id"),
    conversationId: readText(row, "conversation_id"),
  };
}

const noTags: readonly string[] = [];

/** Returns the tags of a row, which are a JSON array. @throws TypeError when they are not. */
export function readTags(row: SqliteRow | undefined): readonly string[] {
  const json = readText(row, "tags");
  if (json === "[]") return noTags;
  const tags: unknown = JSON.parse(json);
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === "string")) throw new TypeError("tags is not a list");
  return tags;
}

function readMetadata(json: string | null): EnvironmentMetadata | null {
  return json === null ? null : parse(EnvironmentMetadataSchema, JSON.parse(json));
}

/** Returns a text column. @throws TypeError when it is not text. */
export function readText(row: SqliteRow | undefined, column: string): string {
  const value = row?.[column];
  if (typeof value !== "string") throw new TypeError(`${column} is not text`);
  return value;
}

/** Returns a text column or `null`. @throws TypeError when it is neither text nor null. */
export function readOptionalText(row: SqliteRow | undefined, column: string): string | null {
  return row?.[column] === null ? null : readText(row, column);
}

/** Returns an integer column. @throws TypeError when it is not an integer that JavaScript can represent. */
export function readInteger(row: SqliteRow | undefined, column: string): number {
  const value = Number(row?.[column] ?? Number.NaN);
  if (!Number.isSafeInteger(value)) throw new TypeError(`${column} is not an integer`);
  return value;
}
