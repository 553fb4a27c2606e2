/** `letta-proxy` on Deno without a permission that it needs. */
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { baseEnvironment } from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { builtArtefact } from "./built-artefact.ts";
import { denoPermissions, runtimeProgram } from "./runtime-commands.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "letta-proxy-deno-"));
  await copyFile(builtArtefact("deno.js"), join(folder, "deno.js"));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** Runs a command with permissions. Resolves with its exit code and standard error. */
function run(permissions: readonly string[], words: readonly string[]): Promise<readonly [unknown, string]> {
  const args = ["run", "--no-prompt", ...permissions, "deno.js", ...words];
  const options = { cwd: folder, env: { ...baseEnvironment, HOME: folder } };
  return new Promise((resolve) => {
    execFile(runtimeProgram("deno"), args, options, (error, _stdout, stderr) => resolve([error?.code ?? 0, stderr]));
  });
}

test.each(["net", "env", "sys", "read", "write"])(
  "a start without --allow-%s ends with one line that names the permission",
  async (name) => {
    const permissions = denoPermissions.filter((permission) => !permission.startsWith(`--allow-${name}`));
    const [code, stderr] = await run(permissions, ["start", "--port", "0", "--log", "json", "--data-dir", name]);
    const line = stderr.replace(/^letta-proxy: made a new data directory.*\n/, "");
    expect([code, line]).toEqual([1, expect.stringMatching(new RegExp(`^letta-proxy: .*--allow-${name}\\b.*\\n$`))]);
  },
  60_000,
);

test("a configuration file that may not be read is an error that names the permission", async () => {
  const outside = process.execPath;
  const words = ["config", "check", "--config", outside];
  const reason = expect.stringMatching(/^letta-proxy: .* cannot be read: Requires read access to .*--allow-read.*\n$/);
  expect(await run(denoPermissions, words)).toEqual([1, reason]);
}, 60_000);
