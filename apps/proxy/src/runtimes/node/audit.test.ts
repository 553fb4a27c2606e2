import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqlite } from "@letta-environments/platform/sqlite";
import { expect, onTestFinished, test } from "vitest";
import { auditFile } from "../../adapters/node/data-dir.ts";
import { openAudit } from "./audit.ts";

test("an audit log whose last record cannot be written is closed anyway, and close() rejects", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "audit-"));
  onTestFinished(() => rmSync(dataDir, { recursive: true }));
  const audit = await openAudit({ dataDir }, { id: "pepper", secret: new Uint8Array(32) });
  const other = openSqlite(join(dataDir, auditFile));
  other.exec("CREATE TRIGGER refuse BEFORE INSERT ON audit_records BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END");
  await expect(audit.close()).rejects.toThrow("the audit log cannot be written");
  other.close();
  // SQLite removes it with the last connection.
  expect(existsSync(join(dataDir, `${auditFile}-wal`))).toBe(false);
});
