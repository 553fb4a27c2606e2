/** Standard output on Node, Bun and Deno, as the log and the commands use it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { resolve } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { runtimeProgram, type ServerRuntime } from "./runtime-commands.ts";

const module = resolve(import.meta.dirname, "../../src/adapters/node/standard-output.ts");

/** Writes 16 lines of 1 MB, says after a while how much waits, and then whether all of it was written in the end. */
const program = `
  import process from "node:process";
  import { writeSync } from "node:fs";
  import { standardOutput } from ${JSON.stringify(module)};
  process.stdout.on("error", () => undefined);
  const output = standardOutput();
  const say = () => writeSync(2, JSON.stringify({ ...output, write: undefined, settled: undefined }) + "\\n");
  for (let line = 0; line < 16; line += 1) output.write("x".repeat(999_999) + "\\n");
  setTimeout(() => {
    say();
    void output.settled().then(say);
  }, 200);
`;

const bytes = 16_000_000;

function launch(runtime: ServerRuntime, output: number | "pipe"): ReturnType<typeof spawn> {
  const words = { node: ["--input-type=module", "-e"], bun: ["-e"], deno: ["eval"] }[runtime];
  return spawn(runtimeProgram(runtime), [...words, program], { stdio: ["ignore", output, "pipe"] });
}

test.each(["node", "bun", "deno"] as const)(
  "output for a reader that hangs is counted without holding up the program, and arrives later, on %s",
  async (runtime) => {
    const child = launch(runtime, "pipe");
    const [said] = child.stderr === null ? [] : await once(child.stderr.setEncoding("utf8"), "data");
    const counted = JSON.parse(String(said)) as { readonly unreadBytes: number };
    expect(counted).toMatchObject({ lostLines: 0, isFailing: false, failure: null });
    expect(counted.unreadBytes).toBeGreaterThan(bytes - 2_000_000);
    expect(counted.unreadBytes).toBeLessThanOrEqual(bytes);
    const read = async (stream: Readable | null): Promise<string> => (stream === null ? "" : text(stream));
    const [written, rest] = await Promise.all([read(child.stdout), read(child.stderr)]);
    expect(written.length).toBe(bytes);
    expect(JSON.parse(rest)).toEqual({ unreadBytes: 0, lostLines: 0, isFailing: false, failure: null });
  },
  30_000,
);

test.each(["node", "bun", "deno"] as const)(
  "output lines that cannot be written are counted, and end nothing, on %s",
  async (runtime) => {
    const full = openSync("/dev/full", "w");
    const child = launch(runtime, full);
    const closed = once(child, "close");
    closeSync(full);
    const said = child.stderr === null ? "" : await text(child.stderr);
    const state = { unreadBytes: 0, lostLines: 16, isFailing: true, failure: "ENOSPC" };
    expect(JSON.parse(said.trimEnd().split("\n").at(-1) ?? "")).toEqual(state);
    expect(await closed).toEqual([0, null]);
  },
  30_000,
);
