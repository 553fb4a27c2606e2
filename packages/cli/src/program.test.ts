import { parseCommandLine } from "@letta-environments/command-line";
import { describe, expect, test } from "vitest";
import { program } from "./program.ts";

function lineOf(line: string) {
  return parseCommandLine(program, line === "" ? [] : line.split(" "));
}

function parse(line: string): unknown {
  const parsed = lineOf(line);
  if (parsed.kind !== "run") return parsed;
  const { command, operands, options } = parsed.parsed;
  return [command.name, ...operands, Object.fromEntries(options)];
}

function reasonOf(line: string): string | null {
  const parsed = lineOf(line);
  return parsed.kind === "misused" ? parsed.reason : null;
}

function helpOf(line: string): string {
  const parsed = lineOf(line);
  return parsed.kind === "help" ? parsed.text : "";
}

test("the help names every command and every exit code, and fits 120 columns", () => {
  const help = helpOf("--help");
  for (const { name } of program.commands) expect(help).toMatch(new RegExp(`^  ${name} `, "m"));
  for (const code of ["0", "1", "2", "3", "4", "5", "6", "7", "129, 130, 143"]) {
    expect(help).toMatch(new RegExp(`^  ${code} `, "m"));
  }
  for (const text of [help, ...program.commands.map(({ name }) => helpOf(`${name} --help`))]) {
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
  }
});

test("the help of a command names its options and the common ones", () => {
  const help = helpOf("help send");
  expect(help).toContain("Usage: letta-env send [DEVICE] [MESSAGE] [options]\n");
  for (const option of ["--agent ID", "--wait-online [DURATION]", "--api-key-file FILE", "--allow-insecure"]) {
    expect(help).toContain(`  ${option} `);
  }
});

test("an optional value is consumed only if it looks like one", () => {
  expect(parse("send laptop --wait-online hello")).toEqual(["send", "laptop", "hello", { "wait-online": ["5m"] }]);
  expect(parse("send laptop --wait-online 5m hello")).toEqual(["send", "laptop", "hello", { "wait-online": ["5m"] }]);
  expect(parse("send laptop --wait-online 2w hello")).toEqual(["send", "laptop", "hello", { "wait-online": ["2w"] }]);
  expect(parse("send laptop --wait-online=5m")).toEqual(["send", "laptop", { "wait-online": ["5m"] }]);
  expect(parse("send laptop --wait-online")).toEqual(["send", "laptop", { "wait-online": ["5m"] }]);
});

test("a word after --wait-online that begins with a digit is never sent as a message by mistake", () => {
  for (const word of ["90", "10min", "1.5h"])
    expect(parse(`send laptop --wait-online ${word}`)).toEqual(["send", "laptop", { "wait-online": [word] }]);
  const read = ["send", "laptop", "90", { "wait-online": ["5m"] }];
  expect(parse("send laptop --wait-online=5m 90")).toEqual(read);
  expect(parse("send laptop --wait-online -- 90")).toEqual(read);
});

test("help is a command, an option and a letter; the version is an option", () => {
  for (const line of ["help send", "send --help", "send laptop -h", "send --agent a --help"]) {
    expect(helpOf(line)).toContain("Usage: letta-env send ");
  }
  for (const line of ["help", "--help", "-h"]) expect(helpOf(line)).toContain("Usage: letta-env COMMAND ");
  for (const line of ["--version", "-V", "-v"]) expect(parse(line)).toEqual({ kind: "version" });
});

describe("command lines that cannot be run", () => {
  test.each([
    ["", "a command is needed"],
    ["--verbose", "a command is needed"],
    ["lst", "unknown command 'lst'; did you mean list?"],
    ["help sned", "unknown command 'sned'; did you mean send?"],
    ["connections", "unknown command 'connections'"],
    ["lek_AAAAAAAAAAAA_BBBBBBBBBBBBBBBBBBBBBBBB", "unknown command"],
    ["list --onlin", "unknown option --onlin of 'list'; did you mean --online?"],
    ["list --agent a", "unknown option --agent of 'list'"],
    ["list -x", "unknown option -x of 'list'"],
    ["--online list", "--online goes after the command"],
    ["list --json=yes", "--json takes no value"],
    ["list --limit", "--limit needs NUMBER"],
    ["list --limit=", "--limit needs NUMBER"],
    ["completion", "'completion' needs SHELL"],
    ["list --limit 1 --limit 2", "--limit can be given only once"],
    ["list laptop", "'list' takes options only"],
    ["get", "'get' needs DEVICE"],
    ["get a b", "too many words for 'get': it takes DEVICE (quote a text that has spaces)"],
    ["send a b c", "too many words for 'send': it takes [DEVICE] [MESSAGE] (quote a text that has spaces)"],
  ])("the command line '%s' is refused: %s", (line, reason) => {
    expect(reasonOf(line)).toBe(reason);
  });

  test.each(["list --api-key lek_secret", "list --key=lek_secret", "--token lek_secret list"])(
    "the command line '%s' is refused without repeating the key",
    (line) => {
      expect(reasonOf(line)).toMatch(/^the key is never an option/);
      expect(reasonOf(line)).not.toContain("lek_secret");
    },
  );
});
