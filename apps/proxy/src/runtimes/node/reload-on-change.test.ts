import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseCommandLine } from "@letta-environments/command-line";
import { expect, test, vi } from "vitest";
import type { ReloadEvent } from "../../config/reload.ts";
import { loadSettings, reloadOnChange } from "./settings.ts";
import { program } from "../../commands/program.ts";

vi.setConfig({ testTimeout: 20_000 });

test("a file that changes between its first reading and the end of the start is not missed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "reload-on-change-"));
  const file = join(folder, "proxy.config.json");
  writeFileSync(file, "{}");
  const line = parseCommandLine(program, ["start", "--config", file]);
  if (line.kind !== "run") throw new Error("the command is good");
  const events: ReloadEvent[] = [];
  const changes = reloadOnChange(line.parsed);
  const settings = loadSettings(line.parsed);
  writeFileSync(file, JSON.stringify({ cors: { origins: ["https://a.example"] } }));
  await new Promise((resolve) => setImmediate(resolve));
  changes.begin(
    settings,
    () => Promise.resolve(),
    (event) => events.push(event),
  );
  await expect.poll(() => events, { timeout: 10_000 }).toMatchObject([{ changed: ["cors.origins"] }]);
  changes.end();
  rmSync(folder, { recursive: true });
});

test("SIGHUP stays caught while a stop waits for what is under way, which it would end", () => {
  const line = parseCommandLine(program, ["start"]);
  if (line.kind !== "run") throw new Error("the command is good");
  const before = process.listenerCount("SIGHUP");
  const changes = reloadOnChange(line.parsed);
  changes.begin(
    loadSettings(line.parsed),
    () => Promise.resolve(),
    () => undefined,
  );
  changes.end();
  expect(process.listenerCount("SIGHUP")).toBe(before + 1);
  process.removeAllListeners("SIGHUP");
});
