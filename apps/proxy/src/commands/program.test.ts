import { parseCommandLine } from "@letta-environments/command-line";
import { describe, expect, test } from "vitest";
import { program } from "./program.ts";

function lineOf(line: string) {
  return parseCommandLine(program, line === "" ? [] : line.split(" "));
}

function optionsOf(line: string): unknown {
  const parsed = lineOf(line);
  return parsed.kind === "run" ? Object.fromEntries(parsed.parsed.options) : parsed;
}

function reasonOf(line: string): string | null {
  const parsed = lineOf(line);
  return parsed.kind === "misused" ? parsed.reason : null;
}

function helpOf(line: string): string {
  const parsed = lineOf(line);
  return parsed.kind === "help" ? parsed.text : parsed.kind;
}

test("an option accepts its value after a space or an equals sign, and repeated options form a list", () => {
  expect(optionsOf("keys create --name=a=b --scope list --scope=read --shared --device d1")).toEqual({
    name: ["a=b"],
    scope: ["list", "read"],
    shared: [],
    device: ["d1"],
  });
});

test("operands may be before, between and after options", () => {
  for (const line of ["keys rotate ID --overlap 1h", "keys rotate --overlap 1h ID", "keys rotate --overlap 1h -- ID"]) {
    expect(lineOf(line)).toMatchObject({ kind: "run", parsed: { operands: ["ID"] } });
  }
});

describe("a command line that cannot be run says why", () => {
  test.each([
    ["", "a command is needed"],
    ["serve", "unknown command 'serve'"],
    ["keys", "'keys' needs a command: create, list, show, update, disable, enable, revoke, rotate"],
    ["keys craete", "unknown command 'keys craete'; did you mean create?"],
    ["key list", "unknown command 'key'; did you mean keys?"],
    ["audit delete", "unknown command 'audit delete'"],
    ["--prot 1", "unknown option --prot"],
    ["--port 1 start", "--port goes after the command"],
    ["start --prot 1", "unknown option --prot of 'start'; did you mean --port?"],
    ["keys create --max-tokens 5", "unknown option --max-tokens of 'keys create'"],
    ["start --port", "--port needs PORT"],
    ["start --port=", "--port needs PORT"],
    ["start --port 1 --port 2", "--port can be given only once"],
    ["start now", "'start' takes options only"],
    ["keys create --shared=yes", "--shared takes no value"],
    ["keys revoke", "'keys revoke' needs ID"],
    ["keys revoke a b", "too many words for 'keys revoke': it takes ID (quote a text that has spaces)"],
  ])("the command line %j is refused with the reason", (line, reason) => {
    expect(reasonOf(line)).toBe(reason);
  });
});

test("every level has help, and --version prints the version", () => {
  expect(lineOf("--version")).toEqual({ kind: "version" });
  for (const line of ["--help", "help"]) expect(helpOf(line)).toContain("Usage: letta-proxy COMMAND [options]\n");
  for (const group of ["keys", "audit", "config"]) {
    for (const line of [`${group} --help`, `help ${group}`, `${group} help`]) {
      expect(helpOf(line)).toContain(`Usage: letta-proxy ${group} COMMAND [options]\n`);
    }
  }
  expect(helpOf("keys list --help")).toContain("Usage: letta-proxy keys list [options]\n");
  expect(helpOf("keys rotate --help")).toContain("Usage: letta-proxy keys rotate ID [options]\n");
});

test("the help names every command and every option, and fits 120 columns", () => {
  for (const command of program.commands) {
    expect(helpOf("--help")).toContain(command.name);
    const help = helpOf(`${command.name} --help`);
    for (const { name } of command.options) expect(help).toContain(`--${name}`);
    for (const line of help.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
  }
});
