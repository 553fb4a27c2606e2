/** The tables of keys in SQLite. Every change of a key is counted; a use is none. */
export const keyTables = `
  CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    record TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS key_uses (
    id TEXT PRIMARY KEY,
    used_at INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS key_changes (count INTEGER NOT NULL) STRICT;
  INSERT INTO key_changes (count) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM key_changes);
  CREATE TRIGGER IF NOT EXISTS key_inserted AFTER INSERT ON keys BEGIN UPDATE key_changes SET count = count + 1; END;
  CREATE TRIGGER IF NOT EXISTS key_updated AFTER UPDATE ON keys BEGIN UPDATE key_changes SET count = count + 1; END;
  CREATE TRIGGER IF NOT EXISTS key_deleted AFTER DELETE ON keys BEGIN UPDATE key_changes SET count = count + 1; END;
`;
