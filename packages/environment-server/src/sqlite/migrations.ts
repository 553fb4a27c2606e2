import { migrateSqlite, type SqliteDatabase, type SqliteVersionStore } from "@letta-environments/platform";
import { readInteger } from "./columns.ts";

/**
 * Every version of the tables, oldest first. A released migration is never edited. Table names start with `environment`, so
 * that the file can also contain other tables. Times are milliseconds: `reserved_at`, `replaced_at`, `used_at` and `stored_at` server time, the others wall time.
 */
const migrations: readonly string[] = [
  `
  CREATE TABLE environment_device (
    tenant TEXT NOT NULL,
    device_id TEXT NOT NULL,
    owner_key_id TEXT,
    PRIMARY KEY (tenant, device_id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE environment (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    device_id TEXT NOT NULL,
    listener_instance_id TEXT NOT NULL,
    connection_name TEXT NOT NULL,
    metadata TEXT,
    owner TEXT NOT NULL,
    first_seen_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    current_mode TEXT,
    working_directory TEXT,
    git_branch TEXT,
    UNIQUE (tenant, device_id, listener_instance_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX environment_by_tenant ON environment (tenant, id);

  CREATE TABLE environment_connection (
    id TEXT NOT NULL PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environment (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    registered_at INTEGER NOT NULL,
    opened_at INTEGER,
    replaced_at INTEGER,
    UNIQUE (environment_id, generation)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX environment_connection_by_replacement ON environment_connection (replaced_at) WHERE replaced_at IS NOT NULL;

  CREATE TABLE environment_delivery (
    id TEXT NOT NULL PRIMARY KEY,
    environment_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    reserved_at INTEGER NOT NULL,
    outcome TEXT CHECK (outcome IN ('accepted', 'rejected', 'unknown')),
    disposition TEXT,
    error TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX environment_delivery_by_time ON environment_delivery (reserved_at);

  CREATE TABLE environment_message (
    environment_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    delivery_id TEXT NOT NULL REFERENCES environment_delivery (id) ON DELETE CASCADE,
    PRIMARY KEY (environment_id, agent_id, conversation_id, message_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX environment_message_by_delivery ON environment_message (delivery_id);
  `,
  `
  ALTER TABLE environment ADD COLUMN key_id TEXT;
  UPDATE environment SET key_id = (SELECT key_id FROM environment_connection AS connection
    WHERE connection.environment_id = environment.id ORDER BY generation DESC LIMIT 1);
  CREATE INDEX environment_by_key ON environment (tenant, key_id);
  CREATE INDEX environment_by_last_seen ON environment (last_seen_at);
  DROP INDEX environment_by_tenant;
  CREATE INDEX environment_by_tenant ON environment (tenant, id, device_id, connection_name);

  CREATE INDEX environment_delivery_unresolved ON environment_delivery (environment_id, reserved_at)
    WHERE outcome IS NULL OR outcome = 'unknown';
  `,
  `
  ALTER TABLE environment ADD COLUMN display_name TEXT;
  ALTER TABLE environment ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
  DROP INDEX environment_by_tenant;
  CREATE INDEX environment_by_tenant ON environment (tenant, id, device_id, connection_name, tags);

  CREATE TABLE environment_runtime (
    agent_id TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    environment_id TEXT NOT NULL REFERENCES environment (id) ON DELETE CASCADE,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (agent_id, conversation_id, environment_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX environment_runtime_by_environment ON environment_runtime (environment_id);
  INSERT INTO environment_runtime SELECT message.agent_id, message.conversation_id, environment.id, max(delivery.reserved_at)
    FROM environment_delivery AS delivery JOIN environment_message AS message ON message.delivery_id = delivery.id
      JOIN environment ON environment.id = message.environment_id
    WHERE delivery.outcome = 'accepted' GROUP BY 1, 2, 3;
  `,
  `
  CREATE TABLE environment_message_status (
    environment_id TEXT NOT NULL REFERENCES environment (id) ON DELETE CASCADE,
    message_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    delivery_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('received', 'sent', 'accepted', 'running', 'waiting_for_approval', 'finished',
      'cancelled', 'evicted', 'failed', 'unknown')),
    detail TEXT NOT NULL,
    reply TEXT,
    reply_truncated INTEGER NOT NULL,
    sent_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (environment_id, message_id, agent_id, conversation_id)
  ) STRICT;
  CREATE INDEX environment_message_status_by_time ON environment_message_status (sent_at);
  CREATE INDEX environment_message_status_open ON environment_message_status (environment_id)
    WHERE state NOT IN ('finished', 'cancelled', 'evicted', 'failed');

  -- A row for each environment, and one with an empty id for the texts of all.
  CREATE TABLE environment_message_count (
    environment_id TEXT NOT NULL PRIMARY KEY,
    messages INTEGER NOT NULL,
    characters INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX environment_message_count_full ON environment_message_count (environment_id) WHERE messages > 10000;
  INSERT INTO environment_message_count VALUES ('', 0, 0);
  CREATE TRIGGER environment_message_status_added AFTER INSERT ON environment_message_status BEGIN
    INSERT INTO environment_message_count (environment_id, messages, characters) VALUES (new.environment_id, 1, 0)
      ON CONFLICT DO UPDATE SET messages = messages + 1;
  END;
  CREATE TRIGGER environment_message_status_added_reply AFTER INSERT ON environment_message_status
    WHEN new.reply IS NOT NULL BEGIN
    UPDATE environment_message_count SET characters = characters + length(new.reply) WHERE environment_id = '';
  END;
  CREATE TRIGGER environment_message_status_changed_reply AFTER UPDATE OF reply ON environment_message_status
    WHEN new.reply IS NOT old.reply BEGIN
    UPDATE environment_message_count
      SET characters = characters + coalesce(length(new.reply), 0) - coalesce(length(old.reply), 0)
      WHERE environment_id = '';
  END;
  CREATE TRIGGER environment_message_status_removed AFTER DELETE ON environment_message_status BEGIN
    UPDATE environment_message_count SET messages = messages - 1 WHERE environment_id = old.environment_id;
    UPDATE environment_message_count SET characters = characters - coalesce(length(old.reply), 0) WHERE environment_id = '';
    DELETE FROM environment_message_count WHERE environment_id = old.environment_id AND messages = 0;
  END;
  `,
  `
  CREATE TABLE environment_approval (
    environment_id TEXT NOT NULL REFERENCES environment (id) ON DELETE CASCADE,
    tool_call_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    request TEXT NOT NULL,
    message_id TEXT,
    requested_at INTEGER NOT NULL,
    expiry TEXT,
    decision TEXT,
    decided_at INTEGER,
    PRIMARY KEY (environment_id, tool_call_id, agent_id, conversation_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX environment_approval_pending ON environment_approval (requested_at) WHERE decided_at IS NULL;
  CREATE INDEX environment_approval_decided ON environment_approval (decided_at) WHERE decided_at IS NOT NULL;
  `,
  `
  CREATE TABLE environment_change (
    position INTEGER NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('environment', 'message', 'approval', 'output')),
    is_output INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    environment_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    connection_name TEXT NOT NULL,
    tags TEXT,
    agent_id TEXT,
    data TEXT NOT NULL,
    size INTEGER NOT NULL,
    stored_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX environment_change_by_part ON environment_change (is_output, position, size, stored_at);

  -- One row.
  CREATE TABLE environment_change_log (
    epoch TEXT NOT NULL,
    last_position INTEGER NOT NULL,
    removed_through INTEGER NOT NULL,
    output_removed_through INTEGER NOT NULL,
    events_size INTEGER NOT NULL,
    output_size INTEGER NOT NULL
  ) STRICT;
  INSERT INTO environment_change_log VALUES (lower(hex(randomblob(8))), 0, 0, 0, 0, 0);

  CREATE TABLE environment_change_recording (
    tenant TEXT NOT NULL PRIMARY KEY,
    until INTEGER NOT NULL,
    output_since INTEGER NOT NULL,
    output_until INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE INDEX environment_message_status_by_row ON environment_message_status (environment_id, sent_at);
  `,
  `
  -- One row. Until now every time was wall time, so the server time goes on from the latest one.
  CREATE TABLE environment_time (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    now INTEGER NOT NULL,
    changes TEXT NOT NULL
  ) STRICT;
  INSERT INTO environment_time SELECT 1, at, '[{"since":0,"aheadMs":0}]' FROM (SELECT coalesce(
    (SELECT max(reserved_at) FROM environment_delivery), (SELECT max(last_seen_at) FROM environment)) AS at)
    WHERE at IS NOT NULL;
  `,
  `
  ALTER TABLE environment_change_log ADD COLUMN former TEXT NOT NULL DEFAULT '[]';
  `,
  `
  CREATE INDEX environment_by_owner ON environment (tenant, owner, id);

  -- One row: how many requests are decided.
  CREATE TABLE environment_approval_count (decided INTEGER NOT NULL) STRICT;
  INSERT INTO environment_approval_count SELECT count(*) FROM environment_approval WHERE decided_at IS NOT NULL;
  CREATE TRIGGER environment_approval_added AFTER INSERT ON environment_approval WHEN new.decided_at IS NOT NULL BEGIN
    UPDATE environment_approval_count SET decided = decided + 1;
  END;
  CREATE TRIGGER environment_approval_changed AFTER UPDATE OF decided_at ON environment_approval
    WHEN (new.decided_at IS NULL) <> (old.decided_at IS NULL) BEGIN
    UPDATE environment_approval_count SET decided = decided + (new.decided_at IS NOT NULL) - (old.decided_at IS NOT NULL);
  END;
  CREATE TRIGGER environment_approval_removed AFTER DELETE ON environment_approval WHEN old.decided_at IS NOT NULL BEGIN
    UPDATE environment_approval_count SET decided = decided - 1;
  END;
  `,
  `
  -- Each save evaluates this condition. With IN it would build a set, which takes longer than the rest of the index.
  CREATE INDEX environment_message_status_ended ON environment_message_status (sent_at)
    WHERE (state = 'finished' OR state = 'cancelled' OR state = 'evicted' OR state = 'failed');
  `,
];

/** Records the version in a table, because the file may contain other tables. */
const versionTable: SqliteVersionStore = {
  read(database) {
    database.exec("CREATE TABLE IF NOT EXISTS environment_schema (version INTEGER NOT NULL) STRICT");
    const row = database.prepare("SELECT version FROM environment_schema").get();
    return row === undefined ? 0 : readInteger(row, "version");
  },
  write(database, version) {
    database.exec("DELETE FROM environment_schema");
    database.prepare("INSERT INTO environment_schema (version) VALUES (?)").run(version);
  },
};

/**
 * Migrates the tables to the newest version, in one transaction. An older file is backed up first.
 *
 * @throws Error when a newer program has written the database, or the backup cannot be written.
 */
export function migrate(database: SqliteDatabase): void {
  migrateSqlite(database, migrations, versionTable);
}
