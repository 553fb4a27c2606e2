/** Standard output on Node, Bun and Deno, as the log and the commands use it. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { runtimeProgram, type ServerRuntime } from "./runtime-commands.ts";

const module = resolve(import.meta.dirname, "../../src/adapters/node/standard-output.ts");

const start = `
  import { fstatSync, ftruncateSync, writeSync } from "node:fs";
  import { standardOutput } from ${JSON.stringify(module)};
  const output = standardOutput();
  const say = () => writeSync(2, JSON.stringify({ ...output, write: undefined, settled: undefined }) + "\\n");
`;

/** Writes 16 lines of 1 MB, says after a while how much waits, and then whether all of it was written in the end. */
const program = `${start}
  for (let line = 0; line < 16; line += 1) output.write("x".repeat(999_999) + "\\n");
  setTimeout(() => {
    say();
    void output.settled().then(say);
  }, 200);
`;

const bytes = 16_000_000;

function launch(runtime: ServerRuntime, output: number | "pipe", code = program): ReturnType<typeof spawn> {
  const words = { node: ["--input-type=module", "-e"], bun: ["-e"], deno: ["eval"] }[runtime];
  const limited = ["-c", `trap "" XFSZ && ulimit -f 8 && exec "$@"`, "sh"];
  const command = [runtimeProgram(runtime), ...words, code];
  return code === cutProgram
    ? spawn("sh", [...limited, ...command], { stdio: ["ignore", output, "pipe"] })
    : spawn(command[0] ?? "", command.slice(1), { stdio: ["ignore", output, "pipe"] });
}

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "standard-output-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A pipe, as a shell makes it; the child processes of Node have sockets. */
function openPipe(): { readonly reader: number; readonly writer: number } {
  const path = join(newFolder(), "pipe");
  execFileSync("mkfifo", [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return { reader, writer: openSync(path, constants.O_WRONLY) };
}

test.each(["node", "bun", "deno"] as const)(
  "output for a hanging reader is counted without blocking the program, and arrives later, on %s",
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
  "output lines that cannot be written are counted, and do not end the program, on %s",
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

/** As above, and then writes three more lines. */
const goneProgram = `${start}
  for (let line = 0; line < 16; line += 1) output.write("x".repeat(999_999) + "\\n");
  say();
  await output.settled();
  for (let line = 0; line < 3; line += 1) {
    output.write("later\\n");
    await output.settled();
  }
  say();
`;

test.each(["node", "bun", "deno"] as const)(
  "lines still waiting when a hanging reader exits are counted as lost, and so is every later line, on %s",
  async (runtime) => {
    const { reader, writer } = openPipe();
    const child = launch(runtime, writer, goneProgram);
    const closed = once(child, "close");
    closeSync(writer);
    const [said] = child.stderr === null ? [] : await once(child.stderr.setEncoding("utf8"), "data");
    expect(JSON.parse(String(said))).toMatchObject({ lostLines: 0, isFailing: false });
    closeSync(reader);
    const rest = child.stderr === null ? "" : await text(child.stderr);
    expect(JSON.parse(rest)).toEqual({ unreadBytes: 0, lostLines: 19, isFailing: true, failure: "EPIPE" });
    expect(await closed).toEqual([0, null]);
  },
  30_000,
);

/** Replaces `process.stdout.write` by something that drops the callback. */
const replacedProgram = (replacement: string): string => `
  const { stdout } = process;
  const original = stdout.write.bind(stdout);
  stdout.write = ${replacement};
  ${start}
  for (let line = 0; line < 16; line += 1) output.write("x".repeat(999_999) + "\\n");
  while (stdout.writableLength > 0) await new Promise(setImmediate);
  await output.settled(50);
  say();
`;

test.each(["node", "bun", "deno"] as const)(
  "a program that silences process.stdout.write does not exit before it has waited for the output, on %s",
  async (runtime) => {
    const child = launch(runtime, "pipe", replacedProgram("() => true"));
    child.stdout?.resume();
    const closed = once(child, "close");
    const said = child.stderr === null ? "" : await text(child.stderr);
    expect([said, ...(await closed)]).toEqual([expect.stringMatching(/^{.*"lostLines":0.*}\n$/), 0, null]);
  },
  30_000,
);

test("lines that a slow reader has read do not count as unread, even if a wrapper drops the callbacks of process.stdout.write, on Node", async () => {
  const child = launch("node", "pipe", replacedProgram("(chunk) => original(chunk)"));
  const read = async (stream: Readable | null): Promise<string> => (stream === null ? "" : text(stream));
  const [written, said] = await Promise.all([read(child.stdout), read(child.stderr)]);
  expect(written.length).toBe(bytes);
  expect(JSON.parse(said)).toMatchObject({ unreadBytes: 0, lostLines: 0, failure: null });
}, 30_000);

/**
 * Fills a file that may have some blocks, makes room, writes two more lines, fills it with a whole line, and makes room again. Then it fills
 * the file with the first part of a line, whose rest is lost.
 */
const cutProgram = `${start}
  output.write("whole\\n");
  output.write("x".repeat(9_999) + "\\n");
  const { size } = fstatSync(1);
  ftruncateSync(1, size - 2_000);
  output.write("later\\n");
  output.write("next\\n");
  const kept = fstatSync(1).size;
  output.write("y".repeat(size - kept - 1) + "\\n");
  output.write("lost\\n");
  ftruncateSync(1, kept);
  output.write("last\\n");
  const filled = fstatSync(1).size;
  output.write("z".repeat(size - filled));
  output.write("rest\\n");
  ftruncateSync(1, filled + 1);
  output.write("end\\n");
`;

test.each(["node", "bun", "deno"] as const)(
  "a full file neither truncates later lines nor leaves an empty one, on %s",
  async (runtime) => {
    const path = join(newFolder(), "file");
    const file = openSync(path, "a");
    const child = launch(runtime, file, cutProgram);
    closeSync(file);
    expect([await once(child, "close")]).toEqual([[0, null]]);
    expect(readFileSync(path, "utf8")).toMatch(/^whole\nx+\nlater\nnext\nlast\nz\nend\n$/);
  },
  30_000,
);

/** Writes a line in two parts, and then one that cannot be written. */
const partsProgram = `${start}
  import { closeSync } from "node:fs";
  output.write("a line");
  output.write(" in parts\\n");
  closeSync(1);
  output.write("lost\\n");
  say();
`;

test.each(["node", "bun", "deno"] as const)(
  "a line written in parts is one line in a file, and a closed file does not end the program, on %s",
  async (runtime) => {
    const path = join(newFolder(), "file");
    const file = openSync(path, "a");
    const child = launch(runtime, file, partsProgram);
    const closed = once(child, "close");
    closeSync(file);
    const said = child.stderr === null ? "" : await text(child.stderr);
    expect(JSON.parse(said)).toEqual({ unreadBytes: 0, lostLines: 1, isFailing: true, failure: "EBADF" });
    expect(await closed).toEqual([0, null]);
    expect(readFileSync(path, "utf8")).toBe("a line in parts\n");
  },
  30_000,
);
