import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { launchProcess } from "@letta-environments/testkit";
import { afterEach, beforeEach, expect, test } from "vitest";

const entry = resolve(import.meta.dirname, "../src/runtimes/node.ts");
let dataDir = "";

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "terminal-"));
});
afterEach(() => rmSync(dataDir, { recursive: true }));

test("a gateway stops gracefully when its terminal is closed", async () => {
  const log = join(dataDir, "log");
  // A file, because output to a closed terminal is lost.
  const start = `'${process.execPath}' '${entry}' start --port 0 --log json --data-dir '${dataDir}' >'${log}'`;
  const told = (): string => (existsSync(log) ? readFileSync(log, "utf8") : "");
  // `script` (of bsdutils, which every Debian has) runs the program in a terminal, which closes when `script` is killed.
  const terminal = launchProcess({ command: "script", args: ["--quiet", "--command", start, "/dev/null"] });
  await expect.poll(told, { timeout: 15_000 }).toContain('"event":"listening"');
  process.kill(terminal.pid, "SIGKILL");
  await expect.poll(told, { timeout: 15_000 }).toContain('"event":"stopped"');
  expect(told()).toContain('"event":"stopping","signal":"SIGHUP"');
}, 40_000);
