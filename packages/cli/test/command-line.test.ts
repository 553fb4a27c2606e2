/** `letta-env` as a user runs it: a separate process, a real gateway, scripted devices. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { EnvironmentList } from "@letta-environments/client";
import { createFakeUpstream } from "@letta-environments/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Fleet, launchFleet } from "./support/launch-fleet.ts";
import { entry, runCli } from "./support/run-cli.ts";

let fleet: Fleet;
beforeAll(async () => {
  fleet = await launchFleet();
});
afterAll(() => fleet.stop());

const run = (args: readonly string[], input?: string | Uint8Array) =>
  runCli(args, { env: fleet.gateway.env, ...(input !== undefined && { input }) });

/** Sets labels of a device as an administrator. */
async function label(deviceId: string, labels: object): Promise<void> {
  const { url, createKey } = fleet.gateway.proxy;
  const key = await createKey({ scopes: ["admin"] });
  const { status } = await fetch(`${url}/v1/environments/${deviceId}`, {
    method: "PATCH",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify(labels),
  });
  expect(status).toBe(200);
}

describe("the command list", () => {
  test("in a pipe, list prints one line per device with tab-separated columns and no colours", async () => {
    const { code, stdout, stderr } = await run(["list"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const rows = stdout
      .split("\n")
      .slice(0, -1)
      .map((line) => line.split("\t"));
    expect(
      rows
        .map(([deviceId, name, status]) => [deviceId, name, status])
        .sort(([left = ""], [right = ""]) => left.localeCompare(right)),
    ).toEqual([
      ["device-1", "laptop", "online"],
      ["device-2", "silent", "online"],
      ["device-3", "grumpy", "online"],
      ["device-4", "asleep", "offline"],
      ["twin-1", "twin", "offline"],
      ["twin-2", "twin", "offline"],
    ]);
    for (const columns of rows) {
      expect(columns).toHaveLength(6);
      expect(columns[4]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    }
    expect(rows.find(([deviceId]) => deviceId === "device-1")?.[5]).toBe(fleet.laptop.connectionId);
  });

  test("list --json prints one document with the response of the API", async () => {
    const { code, stdout } = await run(["list", "--json"]);
    expect(code).toBe(0);
    const { connections, hasNextPage } = JSON.parse(stdout) as EnvironmentList;
    expect(hasNextPage).toBe(false);
    expect(connections).toHaveLength(6);
  });

  test("list --tag selects the devices that have all tags, which the JSON shows with the display name", async () => {
    await label("device-1", { displayName: "Büro", tags: ["ci", "gpu"] });
    const { stdout } = await run(["list", "--tag", "ci", "--tag", "gpu", "--json"]);
    const { connections } = JSON.parse(stdout) as EnvironmentList;
    expect(connections).toMatchObject([{ deviceId: "device-1", displayName: "Büro", tags: ["ci", "gpu"] }]);
    expect((await run(["list", "--tag", "nothing"])).stdout).toBe("");
    expect((await run(["get", "device-1"])).stdout).toContain("tags\tci,gpu\n");
    expect(await run(["list", "--tag", "a b"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--tag must be"),
    });
  });

  test("list with --online, --limit and --all selects the devices; the JSON says whether there are more", async () => {
    const online = await run(["list", "--online"]);
    expect(online.stdout.match(/^device-[123]\t/gm)).toHaveLength(3);
    expect(online.stdout.trimEnd().split("\n")).toHaveLength(3);
    const limited = JSON.parse((await run(["list", "--limit", "2", "--json"])).stdout) as EnvironmentList;
    expect([limited.connections.length, limited.hasNextPage]).toEqual([2, true]);
    const all = JSON.parse((await run(["list", "--all", "--json"])).stdout) as EnvironmentList;
    expect([all.connections.length, all.hasNextPage]).toEqual([6, false]);
    expect((await run(["list", "--source", "remote"])).stdout).toBe("");
    expect((await run(["list", "--user", "nobody"])).stdout).toBe("");
  });

  test("a closed pipe is not a failure of list, and prints no message", async () => {
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", entry, "list"], {
      env: { PATH: process.env["PATH"] ?? "", ...fleet.gateway.env },
    });
    child.stdout.destroy();
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, "close")]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  test.each(["list", "--help", "--version"])("list fails if its output cannot be written: %s", async (word) => {
    const full = await open("/dev/full", "w");
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", entry, word], {
      env: { PATH: process.env["PATH"] ?? "", ...fleet.gateway.env },
      stdio: ["ignore", full.fd, "pipe"],
    });
    const ended = once(child, "close");
    const stderr = child.stderr === null ? "" : await text(child.stderr);
    const [code] = await ended;
    await full.close();
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: "letta-env: standard output cannot be written (ENOSPC)\n",
    });
  });
});

describe("the command get", () => {
  test("get takes a deviceId or a name that only one device has, and prints a line for each member in a pipe, or JSON", async () => {
    const byId = await run(["get", "device-1"]);
    expect(byId.code).toBe(0);
    expect(byId.stdout).toContain("deviceId\tdevice-1\n");
    expect(byId.stdout).toContain("connectionName\tlaptop\n");
    expect(byId.stdout).toContain("metadata.os\tlinux\n");
    expect(byId.stdout).toContain("status\tonline\n");
    expect((await run(["get", "laptop"])).stdout).toBe(byId.stdout);
    expect(JSON.parse((await run(["get", "laptop", "--json"])).stdout)).toMatchObject({ deviceId: "device-1" });
  });

  test("a name that several devices have is refused, with the candidates", async () => {
    const { code, stdout, stderr } = await run(["get", "twin"]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(
      /^letta-env: 2 devices have this name; use the deviceId of one of them:\n {2}twin-1 {2}offline, seen .*\n {2}twin-2 {2}offline, seen .*\n$/,
    );
  });

  test("an unknown device is exit code 6, with a suggestion for a misspelt name", async () => {
    expect(await run(["get", "lapto"])).toEqual({
      code: 6,
      stdout: "",
      stderr: "letta-env: there is no device with this id or name; did you mean laptop?\n",
    });
    expect((await run(["get", "a/../b"])).code).toBe(6);
  });

  test("a display name set by an administrator does not select a device, and the error names the device that has it", async () => {
    for (const deviceId of ["twin-1", "twin-2"]) await label(deviceId, { displayName: "Build machine" });
    const { code, stdout, stderr } = await run(["get", "Build machine"]);
    expect({ code, stdout }).toEqual({ code: 6, stdout: "" });
    expect(stderr).toMatch(
      /^letta-env: a display name does not select a device; use the deviceId instead:\n {2}twin-1 {2}offline, seen .*\n {2}twin-2 {2}offline, seen .*\n$/,
    );
  });

  test("a key with only the scope read finds devices by id, and so does a key with only the scope list", async () => {
    for (const [scope, device, code] of [
      ["read", "device-1", 0],
      ["read", "laptop", 6],
      ["list", "device-1", 0],
      ["list", "laptop", 0],
    ] as const) {
      const key = await fleet.gateway.proxy.createKey({ scopes: [scope] });
      const result = await runCli(["get", device], { env: { ...fleet.gateway.env, LETTA_API_KEY: key } });
      expect(result.code).toBe(code);
      if (code !== 0) expect(result.stderr).toMatch(/^letta-env: there is no device with this id; .*scope list\n$/);
    }
  });
});

describe("command lines that are refused before any request", () => {
  test.each([
    [["list", "--limit", "0"], "--limit must be a whole number from 1"],
    [["list", "--limit", "5", "--all"], "--limit and --all cannot be used together"],
    [["list", "--source", "moon"], "--source must be local or remote"],
    [["list", "--timeout", "soon"], "--timeout must be a duration from 1ms to 11d, such as 30s, 5m or 2h"],
    [
      ["list", "--base-url", "ftp://x"],
      "--base-url must be an absolute http or https URL without user, query or fragment",
    ],
    [
      ["list", "--base-url", "http://u:hunter2@localhost"],
      "--base-url must be an absolute http or https URL without user, query or fragment",
    ],
    [["list", "--api-key-file", "no-such-file"], "the file of --api-key-file cannot be read (ENOENT)"],
    [["send", "laptop", "hi"], "'send' needs --agent ID"],
    [["send", "--agent", "a"], "'send' needs DEVICE, or --connection ID"],
    [["send", "laptop", "--agent", "a", ""], "MESSAGE must not be empty"],
    [["send", "laptop", "--agent", "a"], "MESSAGE must not be empty"],
    [["send", "laptop", "--agent", "a".repeat(300), "hi"], "--agent must have at most 256 characters"],
    [
      ["send", "laptop", "--agent", "a", "--message-id", "m".repeat(300), "hi"],
      "--message-id must have at most 256 characters",
    ],
    ...["ä", "a b", "a,b", 'a"b', String.raw`a\b`, "k".repeat(257)].map((key): [string[], string] => [
      ["send", "laptop", "--agent", "a", "--idempotency-key", key, "hi"],
      "--idempotency-key must be 1 to 256 visible ASCII characters without commas, double quotes and backslashes",
    ]),
    [
      ["send", "laptop", "--agent", "a", "--wait-online=long", "hi"],
      "--wait-online must be a duration from 1ms to 24d, such as 30s, 5m or 2h",
    ],
    [
      ["send", "laptop", "--agent", "a", "--wait-online", "10min"],
      `--wait-online must be a duration from 1ms to 24d, such as 30s, 5m or 2h\nUse --wait-online=5m before a MESSAGE that begins with a digit.`,
    ],
    [["list", "--timeout", "12d"], "--timeout must be a duration from 1ms to 11d, such as 30s, 5m or 2h"],
    [["watch", "--interval", "2w"], "--interval must be a duration from 1ms to 11d, such as 30s, 5m or 2h"],
    [
      ["send", "--connection", "..", "--agent", "a", "hi"],
      "--connection must be 1 to 128 characters from A-Z a-z 0-9 . _ ~ : -",
    ],
    [["send", "--connection", "c", "laptop", "hi", "--agent", "a"], "DEVICE and --connection cannot be used together"],
    [
      ["send", "--connection", "c", "--wait-online", "--agent", "a", "hi"],
      "--wait-online needs DEVICE: a connection that has ended never comes back",
    ],
    [["approve", "laptop", "--agent", "a"], "'approve' needs --request ID"],
    [["deny", "--agent", "a", "--request", "r"], "'deny' needs DEVICE, or --connection ID"],
  ])("the command line %j is refused before any request: %s", async (words, reason) => {
    // Nothing listens there: a request would be another exit code.
    const env = { LETTA_BASE_URL: "http://127.0.0.1:9", LETTA_API_KEY: "k" };
    expect(await runCli(words, { env })).toEqual({ code: 2, stdout: "", stderr: `letta-env: ${reason}\n` });
  });

  test("a message that is invalid text or too long is refused before any request", async () => {
    const words = ["send", "laptop", "--agent", "a"];
    expect((await run(words, new Uint8Array([0xff, 0xfe]))).stderr).toBe("letta-env: MESSAGE must be text in UTF-8\n");
    expect((await run(words, "x".repeat(1_100_000))).stderr).toBe(
      "letta-env: MESSAGE must have at most 1,048,576 bytes\n",
    );
  });

  test("an error names a missing address or key", async () => {
    const without = (env: Record<string, string>) => runCli(["list"], { env });
    expect((await without({ LETTA_API_KEY: "k" })).stderr).toMatch(/^letta-env: LETTA_BASE_URL is not set/);
    expect((await without({ LETTA_BASE_URL: fleet.gateway.proxy.url })).stderr).toMatch(
      /^letta-env: LETTA_API_KEY is not set/,
    );
  });

  test("the key is never sent over http: beyond loopback unless it is allowed, because the network would see it", async () => {
    const env = { LETTA_BASE_URL: "http://gateway.invalid", LETTA_API_KEY: "k" };
    const refused = await runCli(["list"], { env });
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/^letta-env: LETTA_BASE_URL must be https: /);
    const allowed = await runCli(["list", "--allow-insecure", "--timeout", "2s"], { env });
    expect(allowed.code).toBe(7);
  });
});

describe("failures of commands", () => {
  test("a key that is not valid is exit code 4 and never repeated", async () => {
    const key = "lek_AAAAAAAAAAAA_not_a_key";
    const { code, stdout, stderr } = await runCli(["list", "--verbose"], {
      env: { ...fleet.gateway.env, LETTA_API_KEY: key },
    });
    expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
    expect(stderr).toMatch(/^letta-env: invalid_key: .*\n {2}status: 401\n {2}request id: \S+\n/);
    expect(stderr).not.toContain("not_a_key");
  });

  test("a failure without --verbose is one line", async () => {
    const { stderr } = await runCli(["list"], { env: { ...fleet.gateway.env, LETTA_API_KEY: "wrong" } });
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });

  test("a key that may not send is exit code 4", async () => {
    const key = await fleet.gateway.proxy.createKey({ scopes: ["list", "read"] });
    const env = { ...fleet.gateway.env, LETTA_API_KEY: key };
    const { code, stderr } = await runCli(["send", "laptop", "--agent", "a", "hi"], { env });
    expect(code).toBe(4);
    expect(stderr).toMatch(/^letta-env: insufficient_scope: /);
  });

  test("a server that cannot be reached is exit code 7, with its address and the reason", async () => {
    const closed = await createFakeUpstream(() => undefined);
    await closed.close();
    const env = { LETTA_BASE_URL: closed.url, LETTA_API_KEY: "k" };
    const { code, stderr } = await runCli(["list"], { env });
    expect([code, stderr]).toEqual([7, `letta-env: cannot reach ${closed.url}: connection refused\n`]);
  });

  test("a key is read from a file without its last line break", async () => {
    const file = join(fleet.folder, "key");
    await writeFile(file, `${fleet.gateway.callerKey}\n`);
    const env = { LETTA_BASE_URL: fleet.gateway.proxy.url };
    expect((await runCli(["list", "--api-key-file", file], { env })).code).toBe(0);
    await writeFile(file, "two\nlines\n");
    const { code, stderr } = await runCli(["list", "--api-key-file", file], { env });
    expect(code).toBe(2);
    expect(stderr).toBe(
      "letta-env: the file of --api-key-file must contain one key: visible ASCII characters, without spaces\n",
    );
    await writeFile(file, `${fleet.gateway.callerKey}\n${"\n".repeat(16_384)}`);
    expect(await runCli(["list", "--api-key-file", file], { env })).toMatchObject({
      code: 2,
      stderr: "letta-env: the file of --api-key-file cannot be read (EFBIG)\n",
    });
  });

  test("a key that arrives through a pipe in pieces is read completely", async () => {
    const pipe = join(fleet.folder, "pipe");
    spawnSync("mkfifo", [pipe]);
    const listed = runCli(["list", "--api-key-file", pipe], { env: { LETTA_BASE_URL: fleet.gateway.proxy.url } });
    const writer = await open(pipe, "w");
    for (const character of `${fleet.gateway.callerKey}\n`) await writer.write(character);
    await writer.close();
    expect(await listed).toMatchObject({ code: 0, stderr: "" });
  });
});

test("help, version and completion are printed on standard output, usage errors on standard error", async () => {
  const env = {};
  expect(await runCli(["--version"], { env })).toEqual({ code: 0, stdout: "0.0.0\n", stderr: "" });
  expect(await runCli(["help", "send"], { env })).toMatchObject({ code: 0, stderr: "" });
  expect((await runCli(["completion", "bash"], { env })).stdout).toContain("complete -F _letta_env letta-env\n");
  expect(await runCli(["completion", "powershell"], { env })).toEqual({
    code: 2,
    stdout: "",
    stderr: "letta-env: SHELL must be bash, zsh or fish\n",
  });
  expect(await runCli(["lst"], { env })).toEqual({
    code: 2,
    stdout: "",
    stderr: "letta-env: unknown command 'lst'; did you mean list?\n'letta-env --help' shows how to use it.\n",
  });
});
