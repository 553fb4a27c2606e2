import { keyState, type KeyStateMembers } from "../keys/change-key.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import { showKey } from "../keys/show-key.ts";
import { printable } from "./printable.ts";

/** When each key was used last, in epoch milliseconds by id. */
type LastUses = ReadonlyMap<string, number>;

/** What of a key stands in the table. */
export type TableKey = Pick<KeyRecord, "id" | "name" | "tenant" | "scopes" | "deviceIds" | "createdAt"> &
  KeyStateMembers;

/** The keys as a table for people. A use shows up to 30 seconds later. */
export function formatKeyTable(records: readonly TableKey[], nowMs: number, lastUses: LastUses = new Map()): string {
  if (records.length === 0) return "There are no keys.\n";
  const header = ["ID", "NAME", "TENANT", "SCOPES", "DEVICES", "CREATED", "EXPIRES", "LAST USED", "STATE"];
  const rows = [header, ...records.map((record) => tableRow(record, nowMs, lastUses).map(printable))];
  const widths = header.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

/** The keys as JSON, without their digests. */
export function formatKeyJson(records: readonly KeyRecord[], nowMs: number, lastUses: LastUses = new Map()): string {
  const shown = records.map((record) => showKey(record, nowMs, lastUses.get(record.id) ?? null));
  const lines = JSON.stringify(shown, null, 2).split("\n");
  return `${lines.map(printable).join("\n")}\n`;
}

function tableRow(record: TableKey, nowMs: number, lastUses: LastUses): string[] {
  const lastUsedAt = lastUses.get(record.id);
  return [
    record.id,
    record.name,
    record.tenant,
    record.scopes.join(","),
    record.deviceIds?.join(",") ?? "all",
    day(record.createdAt),
    record.expiresAt === null ? "never" : day(record.expiresAt),
    lastUsedAt === undefined ? "never" : day(lastUsedAt),
    keyState(record, nowMs),
  ];
}

function day(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 10);
}
