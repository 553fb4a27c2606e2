/** `letta-proxy` when the reader of its output goes away, as `head` does, or hangs, or its output cannot be written. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { baseEnvironment } from "@letta-environments/testkit";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { readRunningGateway } from "../src/adapters/node/data-dir-lock.ts";
import { builtArtefact } from "./runtimes/built-artefact.ts";
import { gatewayCommand, runtimeProgram, type ServerRuntime } from "./runtimes/runtime-commands.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const gateways = new Set<ChildProcess>();
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "output-"));
});
afterEach(() => {
  for (const gateway of gateways) gateway.kill("SIGKILL");
  gateways.clear();
  rmSync(folder, { recursive: true });
});

describe.each(["node", "bun", "deno"] as const)("on %s", (runtime: ServerRuntime) => {
  const stdoutOf = (output: number | "pipe"): ["ignore", number | "pipe", "pipe"] => ["ignore", output, "pipe"];
  const options = (output: number | "pipe") => ({
    cwd: folder,
    env: { ...baseEnvironment, HOME: folder },
    stdio: stdoutOf(output),
  });

  /** Runs a command whose standard output is a file, or a pipe whose reader goes away at once. */
  async function run(words: readonly string[], path?: string, prefix: readonly string[] = []): Promise<unknown> {
    const file = path === undefined ? null : await open(path, "w");
    const [program = "", ...args] = [...prefix, ...gatewayCommand(runtime), ...words];
    const child = spawn(program, args, options(file?.fd ?? "pipe"));
    child.stdout?.destroy();
    const ended = once(child, "close");
    const stderr = child.stderr === null ? "" : await text(child.stderr);
    const [code] = await ended;
    await file?.close();
    return { code, stderr };
  }

  /** Starts the gateway with its log in a file or a pipe. */
  function start(output: number | "pipe", format: "json" | "pretty" = "json"): ChildProcess {
    const [program, ...before] = gatewayCommand(runtime);
    const words = ["start", "--port", "0", "--log", format, "--data-dir", "data"];
    const gateway = spawn(program, [...before, ...words], options(output));
    gateways.add(gateway);
    return gateway;
  }

  async function urlOf(gateway: ChildProcess): Promise<string> {
    const find = (): string | undefined => readRunningGateway(join(folder, "data"))?.url;
    await vi.waitFor(() => expect([gateway.exitCode, find()]).toEqual([null, expect.any(String)]), 30_000);
    return find() ?? "";
  }

  /** Sends requests, each of which writes a line. Resolves with the statuses. */
  async function request(url: string, count: number): Promise<readonly number[]> {
    const statuses = new Set<number>();
    for (let sent = 0; sent < count; sent += 50) {
      const batch = Array.from({ length: Math.min(50, count - sent) }, async () => {
        const response = await fetch(`${url}/nowhere`, { signal: AbortSignal.timeout(10_000) });
        await response.text();
        statuses.add(response.status);
      });
      await Promise.all(batch);
    }
    return [...statuses];
  }

  /** Stops a gateway, and resolves with its exit code; one that does not end gets none. */
  async function stop(gateway: ChildProcess): Promise<unknown> {
    const exited = once(gateway, "exit");
    gateway.kill("SIGTERM");
    const [code] = await Promise.race([exited, delay(10_000, ["still there"], { ref: false })]);
    return code;
  }

  test("every command exits silently with 0 when the reader of its output is gone", async () => {
    await run(["keys", "create", "--name", "n"], "/dev/null");
    for (const words of [["--help"], ["keys", "list"], ["completion", "bash"], ["config", "check"]]) {
      expect([words, await run(words)]).toEqual([words, { code: 0, stderr: "" }]);
    }
  });

  test("output that cannot be written is reported as a readable failure", async () => {
    const stderr = "letta-proxy: standard output cannot be written (ENOSPC)\n";
    await run(["keys", "create", "--name", "n"], "/dev/null");
    for (const words of [
      ["keys", "list"],
      ["keys", "create", "--name", "lost"],
      ["audit", "list", "--json"],
    ]) {
      expect([words, await run(words, "/dev/full")]).toEqual([words, { code: 1, stderr }]);
    }
  });

  test("output that is truncated by a full file is reported as a readable failure", async () => {
    const limited = ["sh", "-c", `trap "" XFSZ && ulimit -f 1 && exec "$@"`, "sh"];
    const stderr = expect.stringMatching(/^letta-proxy: standard output cannot be written \(.+\)\n$/);
    expect(await run(["completion", "bash"], join(folder, "script"), limited)).toEqual({ code: 1, stderr });
  });

  test("a gateway whose log cannot be written continues to serve, and stops gracefully", async () => {
    const full = await open("/dev/full", "w");
    const gateway = start(full.fd);
    await full.close();
    expect(await request(await urlOf(gateway), 20)).toEqual([404]);
    expect(await stop(gateway)).toBe(0);
  });

  test("a gateway whose log reader is gone continues to serve, and stops gracefully", async () => {
    const gateway = start("pipe");
    gateway.stdout?.destroy();
    expect(await request(await urlOf(gateway), 20)).toEqual([404]);
    expect(await stop(gateway)).toBe(0);
  });

  test("a gateway continues to serve while the reader of its log hangs, and stops gracefully", async () => {
    const gateway = start("pipe");
    expect(await request(await urlOf(gateway), 2_000)).toEqual([404]);
    expect(await stop(gateway)).toBe(0);
  });

  /** Runs a program that closes its gateway after some requests, and then exits at once. */
  async function runProgram(output: number | "pipe"): Promise<readonly [code: unknown, log: string, stderr: string]> {
    const module = builtArtefact(runtime === "bun" ? "server-bun.js" : "server.js");
    const code = `
      import process from "node:process";
      import { openGateway } from ${JSON.stringify(module)};
      const gateway = await openGateway({ environment: { DATA_DIR: "program", PORT: "0" } });
      const url = await gateway.listen();
      for (let sent = 0; sent < 20; sent += 1) await (await fetch(url + "/nowhere")).text();
      await gateway.close();
      process.exit(3);
    `;
    const words = { node: ["--input-type=module", "-e"], bun: ["-e"], deno: ["eval"] }[runtime];
    const child = spawn(runtimeProgram(runtime), [...words, code], options(output));
    const read = async (stream: Readable | null): Promise<string> => (stream === null ? "" : text(stream));
    const [log, stderr, [exitCode]] = await Promise.all([read(child.stdout), read(child.stderr), once(child, "close")]);
    return [exitCode, log, stderr];
  }

  test("the log is complete when a program exits right after its gateway is closed", async () => {
    const [code, log] = await runProgram("pipe");
    expect([code, log.match(/"event":"(?:request|audit_end)"/g)]).toEqual([3, Array(21).fill(expect.any(String))]);
  });

  test("a program whose log cannot be written continues", async () => {
    const full = await open("/dev/full", "w");
    expect(await runProgram(full.fd)).toEqual([3, "", ""]);
    await full.close();
  });

  test("the log of a graceful stop is complete", async () => {
    const gateway = start("pipe");
    await urlOf(gateway);
    const log = gateway.stdout === null ? "" : text(gateway.stdout);
    expect(await stop(gateway)).toBe(0);
    expect((await log).trimEnd().split("\n").at(-1)).toContain('"event":"stopped"');
  });

  test("a signal during the first start waits until the keys are printed, and the gateway stops gracefully", async () => {
    const gateway = start("pipe", "pretty");
    const { stdout } = gateway;
    if (stdout === null) throw new Error("the output is not a pipe");
    const exited = once(stdout, "data").then(() => stop(gateway));
    const output = text(stdout);
    expect(await exited).toBe(0);
    expect(await output).toMatch(/lek_[^]*Stopped/);
  });
});
