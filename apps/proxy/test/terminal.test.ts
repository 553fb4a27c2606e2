import { mkdtempSync, rmSync } from "node:fs";
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

test("a gateway whose terminal is closed stops, and leaves its port and its data directory to the next", async () => {
  const start = `'${process.execPath}' '${entry}' start --port 0 --log json --data-dir '${dataDir}'`;
  // `script` (of bsdutils, which every Debian has) gives the program a terminal, and takes it away when it is killed.
  const terminal = launchProcess({ command: "script", args: ["--quiet", "--flush", "--command", start, "/dev/null"] });
  const [, url = ""] = await terminal.waitForOutput(/"event":"listening".*?"url":"([^"]+)"/);
  expect((await fetch(`${url}/livez`)).status).toBe(200);
  process.kill(terminal.pid, "SIGKILL");
  await expect
    .poll(
      () =>
        fetch(`${url}/livez`).then(
          ({ status }) => status,
          () => "gone",
        ),
      { timeout: 15_000 },
    )
    .toBe("gone");
}, 30_000);
