import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseCommandLine } from "@letta-environments/command-line";
import { expect, test, vi } from "vitest";
import type { ReloadEvent } from "../../config/reload.ts";
import { KeyStoreUnavailableError } from "../../keys/key-store-outages.ts";
import { describeUnreadable, loadSettings, watchSettings } from "./settings.ts";
import { program } from "../../commands/program.ts";

vi.setConfig({ testTimeout: 60_000 });

test("a change of the configuration file during the start is applied when the start is complete", async () => {
  const folder = mkdtempSync(join(tmpdir(), "settings-"));
  const file = join(folder, "proxy.config.json");
  writeFileSync(file, "{}");
  const line = parseCommandLine(program, ["start", "--config", file]);
  if (line.kind !== "run") throw new Error("the command line is valid");
  const events: ReloadEvent[] = [];
  const changes = watchSettings(line.parsed);
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

test("an unreadable configuration file is an error that names it and the reason, and a missing default file is not an error", () => {
  const [named, unnamed] = [
    { path: "a.json", isNamed: true },
    { path: "proxy.config.json", isNamed: false },
  ];
  const failure = (code: string): Error => Object.assign(new Error(`${code}: a reason`), { code });
  expect(describeUnreadable(unnamed, failure("ENOENT"))).toBeNull();
  expect(describeUnreadable(named, failure("ENOENT"))).toBe("a.json cannot be read: there is no such file");
  expect(describeUnreadable(named, failure("EACCES"))).toBe("a.json cannot be read: this user is not allowed to");
  // As in the home folder of another user.
  expect(describeUnreadable(unnamed, failure("EACCES"))).toBe(
    "proxy.config.json cannot be read: this user may not read it or the current folder; run the command in another folder, or name a file with --config",
  );
  expect(describeUnreadable(named, failure("EISDIR"))).toBe("a.json cannot be read: this is a directory");
  expect(describeUnreadable(unnamed, failure("EIO"))).toBe("proxy.config.json cannot be read: EIO: a reason");
});

test("a change while the keys cannot be read names their store, and is applied when they can", async () => {
  const folder = mkdtempSync(join(tmpdir(), "settings-"));
  const file = join(folder, "proxy.config.json");
  writeFileSync(file, "{}");
  const line = parseCommandLine(program, ["start", "--config", file, "--data-dir", folder]);
  if (line.kind !== "run") throw new Error("the command line is valid");
  vi.stubEnv("VALKEY_URL", "valkey://user:secret@valkey.example:6379");
  const settings = loadSettings(line.parsed);
  const changes = watchSettings(line.parsed);
  const events: ReloadEvent[] = [];
  let isDown = true;
  const apply = async (): Promise<void> => {
    if (isDown) throw new KeyStoreUnavailableError();
  };
  changes.begin(settings, apply, (event) => {
    events.push(event);
    isDown = false;
  });
  writeFileSync(file, JSON.stringify({ cors: { origins: ["https://a.example"] } }));
  await expect
    .poll(() => events, { timeout: 30_000 })
    .toMatchObject([
      { type: "configuration_refused", problems: [expect.stringContaining("Valkey at valkey.example:6379")] },
      { type: "configuration_reloaded", changed: ["cors.origins"] },
    ]);
  expect(JSON.stringify(events)).not.toContain("secret");
  changes.end();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

test("with an administration port, only a start and config check need the operator's token", () => {
  const folder = mkdtempSync(join(tmpdir(), "settings-"));
  const file = join(folder, "proxy.config.json");
  writeFileSync(file, JSON.stringify({ admin: { port: 8_788 } }));
  vi.stubEnv("ADMIN_TOKEN", undefined);
  const load = (...words: readonly string[]) => {
    const line = parseCommandLine(program, [...words, "--config", file]);
    if (line.kind !== "run") throw new Error(`the command line ${words.join(" ")} is valid`);
    return loadSettings(line.parsed).admin?.port;
  };
  for (const words of [
    ["keys", "list"],
    ["keys", "revoke", "id"],
    ["backup", "b.tar"],
    ["audit", "verify"],
  ])
    expect(load(...words)).toBe(8_788);
  for (const words of [["start"], ["config", "check"]]) expect(() => load(...words)).toThrow(/^ADMIN_TOKEN must be/);
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

test("SIGHUP does not end the process while it stops gracefully", () => {
  const line = parseCommandLine(program, ["start"]);
  if (line.kind !== "run") throw new Error("the command line is valid");
  const before = process.listenerCount("SIGHUP");
  const changes = watchSettings(line.parsed);
  changes.begin(
    loadSettings(line.parsed),
    () => Promise.resolve(),
    () => undefined,
  );
  changes.end();
  expect(process.listenerCount("SIGHUP")).toBe(before + 1);
  process.removeAllListeners("SIGHUP");
});

test("SIGHUP during the start does not end the process, and reloads the settings when the start is complete", async () => {
  const line = parseCommandLine(program, ["start"]);
  if (line.kind !== "run") throw new Error("the command line is valid");
  const changes = watchSettings(line.parsed);
  expect(process.emit("SIGHUP")).toBe(true);
  const apply = (): Promise<void> => Promise.resolve();
  const event = await new Promise((report) => changes.begin(loadSettings(line.parsed), apply, report));
  expect(event).toEqual({ type: "configuration_reloaded", changed: [], awaitingRestart: [] });
  changes.end();
  process.removeAllListeners("SIGHUP");
});
