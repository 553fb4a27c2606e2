import { openSqlite } from "@letta-environments/platform/node";
import { expect, it } from "vitest";
import { createRowCount, createSqliteEnvironmentStore } from "../src/sqlite.ts";

/** The searches that read only rows which the statement needs, or at most a hundred others. See also {@link pages}. */
const permittedSearches = new Set([
  // By a whole key.
  "agent_id=? AND conversation_id=? AND environment_id=?",
  "id=?",
  "tenant=? AND id=?",
  "tenant=? AND device_id=?",
  "tenant=? AND device_id=? AND listener_instance_id=?",
  "environment_id=? AND agent_id=? AND conversation_id=? AND message_id=?",
  "environment_id=? AND message_id=? AND agent_id=? AND conversation_id=?",
  "rowid=?",
  // The next conversation of an environment.
  "environment_id=? AND agent_id=? AND conversation_id>?",
  "environment_id=? AND agent_id>?",
  "environment_id=? AND tool_call_id=? AND agent_id=? AND conversation_id=?",
  "delivery_id=?",
  // The conversations in which a message id was used, of which there are few.
  "environment_id=? AND message_id=?",
  // The rows on which a conversation has run.
  "agent_id=? AND conversation_id=?",
  // The connections of one environment, of which few are remembered.
  "environment_id=?",
  "environment_id=? AND generation<?",
  // The statement has a limit, and no other condition, or another one for the few messages of a conversation.
  "tenant=? AND owner=? AND id>?",
  "tenant=? AND owner=? AND id=?",
  "sent_at<?",
  "environment_id=? AND sent_at<?",
  // All pending requests, at the start, and whether there are too many decisions, now and then. Both numbers are limited.
  "requested_at>?",
  "decided_at>?",
  "decided_at<?",
  // There are few full rows. The numbers of all rows are read only when there may be too many messages.
  "environment_id>?",
  "tenant>?",
  "last_seen_at<?",
  "reserved_at<?",
  // The sends of a few seconds.
  "reserved_at>?",
  "rowid>? AND rowid<?",
  "is_output=?",
  // The oldest changes, which are removed.
  "is_output=? AND position<?",
  "replaced_at<?",
  "environment_id=? AND reserved_at>?",
  // The environments of a key, of which there may be few.
  "tenant=? AND key_id=?",
]);

/**
 * The searches for a page, with the conditions that their statement may not have. It would read on until it has a page of what matches, so a
 * device, an owner or a tenant with few rows would cost all of them.
 */
const pages: ReadonlyMap<string, RegExp> = new Map([
  ["tenant=? AND id>?", /\b(?:device_id|owner) (?:=|IN)/],
  ["id>?", /\b(?:tenant|device_id|owner) (?:=|IN)/],
  // A row that was removed.
  ["tenant=?", /\b(?:device_id|owner) (?:=|IN)/],
  ["rowid>?", /\b(?:tenant|device_id) (?:=|IN)/],
]);

/** The command `devices show`, which runs in a separate process, looks for a device of any tenant. */
const inCommand = /WHERE environment\.id > \? AND \(\? IS NULL OR environment\.device_id = \?\)/;

/** Whether a statement with this search reads no more rows than it needs. */
function isPermitted(sql: string, search: string): boolean {
  const excluded = pages.get(search);
  if (excluded === undefined) return permittedSearches.has(search);
  const conditions = sql.slice(sql.lastIndexOf(" WHERE "));
  return / LIMIT [?\d]/.test(sql) && (!excluded.test(conditions) || inCommand.test(sql));
}

/** Skipped rows are read, too. An environment has few conversations. */
const skipping = /^(?!.* WHERE environment_id = \? ).* OFFSET \?/;

/** Tables with one row, and with one for each tenant whose events are read. What subqueries find is read by other steps. */
const smallTables = /^SCAN (?:environment_(?:change_(?:log|recording)|approval_count)|\(subquery-\d+\))$/;

/** The index of the messages that lose their texts. The statement has no other condition, and a limit. */
const firstRemoved = / USING INDEX environment_message_status_ended$/;

/** At the start, a server looks once for times in the future. */
const atStart = /^UPDATE \w+ SET (\w+) = \? WHERE \1 > \?$/;

function createRecordingStore() {
  const database = openSqlite(":memory:");
  const statements = new Set<string>();
  const store = createSqliteEnvironmentStore({
    ...database,
    prepare(sql) {
      statements.add(sql.replaceAll(/\s+/g, " ").trim());
      return database.prepare(sql);
    },
  });
  const planOf = (sql: string): string[] => {
    const values = Array.from(sql.matchAll(/\?/g), () => 1);
    return database
      .prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .all(...values)
      .map(({ detail }) => String(detail));
  };
  return { database, store, statements, planOf };
}

it("no statement reads more rows than it needs, however many are stored", async () => {
  const { database, store, statements, planOf } = createRecordingStore();
  for (const [environmentIds, deviceIds, owner] of [
    [null, null, null],
    [["env-1"], null, null],
    [["env-1"], null, "owner"],
    [["env-1"], ["device-1"], null],
    [null, ["device-1"], null],
    [null, null, "owner"],
    [null, ["device-1"], "owner"],
  ] as const) {
    const filter = { tenant: "t", afterId: null, environmentIds, deviceIds, owner, limit: 1 };
    await store.listEnvironments(filter);
    await store.listNames(filter);
  }
  for (const [tenant, deviceId, limit] of [
    [null, null, 1],
    ["t", null, 1],
    ["t", "device-1", null],
  ] as const) {
    await store.listDevices({ tenant, deviceId, afterId: null, limit });
  }
  const wasteful = [...statements]
    .filter((sql) => !atStart.test(sql) && !sql.includes("environment_schema") && /^(?:SELECT|UPDATE|DELETE)/.test(sql))
    .flatMap((sql) => planOf(sql).map((step) => ({ sql, step })))
    .filter(({ sql, step }) => {
      const search = /^SEARCH .*\((.*)\)$/.exec(step)?.[1];
      const isScan =
        /^SCAN (?!.*VIRTUAL TABLE)/.test(step) &&
        !smallTables.test(step) &&
        !(firstRemoved.test(step) && sql.endsWith(" ORDER BY sent_at LIMIT ?)"));
      return isScan || skipping.test(sql) || (search !== undefined && !isPermitted(sql, search));
    });
  database.close();

  expect(wasteful).toEqual([]);
  expect(statements.size).toBeGreaterThan(30);
});

it("rows are counted from an index, without reading them", () => {
  const { database, planOf } = createRecordingStore();
  const statements: string[] = [];
  const prepare: typeof database.prepare = (sql) => {
    statements.push(sql);
    return database.prepare(sql);
  };
  createRowCount({ ...database, prepare });
  const steps = statements.flatMap(planOf).filter((step) => step.startsWith("SCAN environment"));
  database.close();

  expect(steps).toEqual([expect.stringContaining("USING COVERING INDEX")]);
});
