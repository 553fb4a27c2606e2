/** The commands of the built gateway, the same on Node, Bun and Deno. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cp, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { launchProcess } from "@letta-environments/testkit";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type CommandResult, runBuilt } from "./run-built.ts";
import { gatewayCommand, installGateway, type ServerRuntime } from "./runtime-commands.ts";
import { ask } from "./use-gateway.ts";

vi.setConfig({ testTimeout: 60_000 });

const earlierData = join(import.meta.dirname, "../fixtures/data-4d2d085");
let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "letta-proxy-built-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe.each(["node", "bun", "deno"] as const)("on %s", (runtime: ServerRuntime) => {
  const run = (...words: readonly string[]): Promise<CommandResult> => runBuilt(runtime, words, { folder });

  test("keys are created, listed, rotated, disabled and revoked, and the audit log contains every change", async () => {
    const created = await run("keys", "create", "--name", "ci", "--scope", "list", "--expires", "30d");
    const stderr = expect.stringMatching(/^letta-proxy: made a new data directory, .*\n$/);
    expect(created).toMatchObject({ code: 0, stderr, stdout: expect.stringMatching(/^lek_\w+\n$/) });
    const id = created.stdout.split("_")[1] ?? "";
    expect((await run("keys", "rotate", id, "--overlap", "1h")).stdout).toMatch(/^lek_\w+\n$/);
    expect((await run("keys", "disable", id)).stdout).toBe(`Disabled ${id}\n`);
    expect((await run("keys", "enable", id)).stdout).toBe(`Enabled ${id}\n`);
    expect((await run("keys", "revoke", id)).stdout).toBe(`Revoked ${id}\n`);
    const listed = await run("keys", "list", "--json");
    expect(listed.stdout).toContain(id);
    expect(listed.stdout).not.toContain(created.stdout.trim());
    expect(await run("audit", "verify")).toMatchObject({ code: 0, stderr: "" });
    expect((await run("audit", "list")).stdout).toContain(id);
  });

  test("the audit log names the system's user, whatever the environment says", async () => {
    const env = { USER: "other", USERNAME: "other", LOGNAME: "other" };
    await runBuilt(runtime, ["keys", "create", "--name", "ci", "--scope", "list"], { folder, env });
    const [record = ""] = (await run("audit", "list", "--action", "created", "--json")).stdout.split("\n");
    expect(JSON.parse(record)).toMatchObject({ actor: { kind: "command-line", user: userInfo().username } });
  });

  test("a backup of a gateway is restored elsewhere, with its keys", async () => {
    const created = await run("keys", "create", "--name", "ci", "--scope", "list");
    const id = created.stdout.split("_")[1] ?? "";
    const made = await run("backup", "all.tar", "--with-pepper");
    expect(made).toMatchObject({ code: 0, stderr: "", stdout: expect.stringContaining("proxy.sqlite, audit.sqlite") });
    const restored = await run("restore", "all.tar", "--data-dir", "restored");
    expect(restored).toMatchObject({ code: 0, stderr: "", stdout: expect.stringContaining("audit log is intact") });
    expect((await run("keys", "list", "--data-dir", "restored")).stdout).toContain(id);
  });

  test("the data of an earlier version is backed up beside itself before its tables change", async () => {
    const data = join(folder, "data");
    await cp(earlierData, data, { recursive: true });
    const env = { KEY_PEPPER: "the pepper of the fixtures, 32 characters or more" };
    const listed = await runBuilt(runtime, ["audit", "list", "--data-dir", "data"], { folder, env });
    expect(listed).toMatchObject({ code: 0, stderr: "" });
    expect(await readdir(data)).toContainEqual(expect.stringMatching(/^audit\.sqlite\.before-v\d+\.backup$/));
  });

  test("config check reports each error in the configuration", async () => {
    expect(await run("config", "check")).toMatchObject({ code: 0, stdout: expect.stringContaining("valid") });
    await writeFile(join(folder, "proxy.config.json"), '{"prot":1}');
    expect(await run("config", "check")).toMatchObject({ code: 1, stderr: expect.stringContaining("prot") });
    expect(await run("config", "chekc")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("unknown command 'config chekc'; did you mean check?"),
    });
    expect(await run("--version")).toMatchObject({ code: 0, stderr: "" });
  });

  test("a data directory is locked by one gateway, and free again after the gateway is killed", async () => {
    const start = ["start", "--port", "0", "--log", "json"];
    const [program, ...before] = gatewayCommand(runtime);
    const launch = (): ReturnType<typeof launchProcess> =>
      launchProcess({ command: program, args: [...before, ...start], cwd: folder, env: { HOME: folder } });
    const first = launch();
    await first.waitForOutput(/"event":"listening"/);
    const second = await run(...start);
    expect(second).toMatchObject({ code: 1, stderr: expect.stringContaining("another gateway is running") });
    await first.stop("SIGKILL");
    const third = launch();
    await third.waitForOutput(/"event":"listening"/);
    expect(await third.stop()).toEqual({ code: 0, signal: null });
  });

  test("a running gateway accepts a key that the command line creates, and refuses it when the command line has revoked it", async () => {
    const [program, ...before] = gatewayCommand(runtime);
    const args = [...before, "start", "--port", "0", "--log", "json"];
    const gateway = launchProcess({ command: program, args, cwd: folder, env: { HOME: folder } });
    const [, url = ""] = await gateway.waitForOutput(/"event":"listening".*?"url":"([^"]+)"/);
    const key = (await run("keys", "create", "--name", "ci", "--scope", "list")).stdout.trim();
    expect((await ask(url, "/v1/environments", { key })).status).toBe(200);
    await run("keys", "revoke", key.split("_")[1] ?? "");
    await vi.waitFor(async () => expect((await ask(url, "/v1/environments", { key })).status).toBe(401), 15_000);
    await gateway.stop();
  });

  test("a file that is not a database is reported without a stack trace", async () => {
    await writeFile(join(folder, "notes"), "");
    const made = await run("keys", "create", "--name", "n", "--data-dir", "data");
    expect(made.code).toBe(0);
    await writeFile(join(folder, "data", "proxy.sqlite"), "these are my notes ".repeat(400));
    const broken = await run("keys", "list", "--data-dir", "data");
    expect(broken).toMatchObject({ code: 1, stderr: expect.stringContaining("not a database") });
    expect(broken.stderr).not.toMatch(/\n\s+at /);
  });

  test("a start on a port in use reports the port", async () => {
    const [program, ...before] = gatewayCommand(runtime);
    const args = [...before, "start", "--port", "0", "--log", "json", "--data-dir", "one"];
    const first = launchProcess({ command: program, args, cwd: folder, env: { HOME: folder } });
    const [, port = ""] = await first.waitForOutput(/"event":"listening".*?:(\d+)"/);
    const taken = await run("start", "--port", port, "--log", "json", "--data-dir", "two");
    expect(taken).toMatchObject({ code: 1, stderr: expect.stringContaining(`port ${port} of 127.0.0.1 is taken`) });
    await first.stop();
  });
});

test("a Node.js version that is too old gets one clear line, because the built file loads node:sqlite only when it is used", async () => {
  const [program, ...words] = installGateway("node", folder);
  // Import declarations are linked before any code runs, so one of a missing module would hide the line.
  expect(readFileSync(join(folder, "node.js"), "utf8")).not.toMatch(/^import .*"node:sqlite";$/m);
  const pretend = `data:text/javascript,Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } })`;
  const old = spawnSync(program, ["--import", pretend, ...words, "keys", "list"], { cwd: folder, encoding: "utf8" });
  expect([old.status, old.stdout, old.stderr]).toEqual([
    1,
    "",
    "letta-proxy: Node.js 22.18 or later is needed; this is 20.20.2\n",
  ]);
});
