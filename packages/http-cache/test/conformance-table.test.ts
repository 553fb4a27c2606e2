import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const folder = join(import.meta.dirname, "..");
const table = readFileSync(join(folder, "docs", "conformance.md"), "utf8");
const rows = table.split("\n").filter((line) => line.startsWith("| RFC"));

test("every clause of the conformance table names tests that exist", () => {
  const missing: string[] = [];
  for (const row of rows) {
    const named = [...row.matchAll(/`([^`]+\.test\.ts)`: ([^<|]+)/g)];
    if (named.length === 0) missing.push(row);
    for (const [, path = "", title = ""] of named) {
      const file = join(folder, path);
      const source = existsSync(file) ? readFileSync(file, "utf8") : "";
      if (!source.includes(title.trim())) missing.push(`${path}: ${title.trim()}`);
    }
  }
  expect(rows.length).toBeGreaterThan(40);
  expect(missing).toEqual([]);
});
