/**
 * A message reaches the upstream at most once, even if the connection fails. HTTP clients may repeat a request on a reused connection that
 * breaks (RFC 9110 section 9.2.2 allows it for idempotent methods alone); Deno's `fetch` repeats a POST whose body it still has.
 */
import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { runtimeProgram } from "../runtimes/runtime-commands.ts";
import { createBreakingUpstream } from "./breaking-upstream.ts";
import { runInWorkerd } from "./run-in-workerd.ts";
import { messageCount } from "./send-messages.ts";

const folder = import.meta.dirname;

async function runProcess(program: "node" | "bun" | "deno", origin: string): Promise<string> {
  const words = program === "deno" ? ["run", "--no-prompt", "--no-lock", "--allow-net", "--allow-env"] : [];
  const args = [...words, join(folder, "process.ts"), origin];
  // An empty environment: nothing of the machine, such as a proxy, comes between.
  const env = { DENO_DIR: join(tmpdir(), "letta-environments-deno"), PATH: process.env["PATH"] ?? "" };
  const options = { cwd: folder, env };
  return (await promisify(execFile)(runtimeProgram(program), args, options)).stdout;
}

describe.each([
  ["Node.js", (origin: string) => runProcess("node", origin)],
  ["Bun", (origin: string) => runProcess("bun", origin)],
  ["Deno", (origin: string) => runProcess("deno", origin)],
  ["workerd", (origin: string) => runInWorkerd(join(folder, "worker.ts"), `origin=${origin}`)],
])("on %s", (_runtime, run) => {
  test.each(["reset", "close"] as const)(
    "a message is delivered at most once, and its result is unknown, when the upstream closes the connection with a %s",
    async (ending) => {
      const upstream = await createBreakingUpstream(ending);
      const outcomes = JSON.parse(await run(upstream.origin)) as unknown;
      upstream.close();
      const sent = Array.from({ length: messageCount }, (_, index) => `message ${index}`);
      expect(upstream.received.map(({ body }) => body)).toEqual(sent);
      expect(upstream.received.filter(({ onReusedConnection }) => onReusedConnection)).toHaveLength(messageCount);
      expect(outcomes).toEqual(sent.map(() => "broken"));
    },
    60_000,
  );
});
