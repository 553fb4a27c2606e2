import { describe, expect, test } from "vitest";
import { helpText } from "./help-text.ts";
import { commands } from "./commands.ts";
import { parseCommand } from "./parse-command.ts";

function optionsOf(line: string): unknown {
  const parsed = parseCommand(line.split(" "));
  return parsed.kind === "run" ? Object.fromEntries(parsed.parsed.options) : parsed;
}

function reasonOf(line: string): string | null {
  const parsed = parseCommand(line === "" ? [] : line.split(" "));
  return parsed.kind === "misused" ? parsed.reason : null;
}

test("values stand behind a space or an equals sign, and lists collect", () => {
  expect(optionsOf("keys create --name=a=b --scope list --scope=read --shared --device d1")).toEqual({
    name: ["a=b"],
    scope: ["list", "read"],
    shared: [],
    device: ["d1"],
  });
});

test("operands may stand before, between and after options", () => {
  for (const line of ["keys rotate ID --overlap 1h", "keys rotate --overlap 1h ID", "keys rotate --overlap 1h -- ID"]) {
    expect(parseCommand(line.split(" "))).toMatchObject({ kind: "run", parsed: { operands: ["ID"] } });
  }
});

describe("a command line that cannot be run says why", () => {
  test.each([
    ["", "a command is needed"],
    ["serve", "unknown command 'serve'"],
    ["keys", "unknown command 'keys'"],
    ["audit delete", "unknown command 'audit delete'"],
    ["--prot 1", "unknown option --prot"],
    ["start --prot 1", "unknown option --prot of 'start'"],
    ["keys create --max-tokens 5", "unknown option --max-tokens of 'keys create'"],
    ["start --port", "--port needs PORT"],
    ["start --port=", "--port needs PORT"],
    ["start --port 1 --port 2", "--port may be given once"],
    ["start now", "unexpected 'now'"],
    ["keys create --shared=yes", "--shared takes no value"],
    ["keys revoke", "'keys revoke' needs ID"],
    ["keys revoke a b", "unexpected 'b'"],
  ])("%j", (line, reason) => {
    expect(reasonOf(line)).toBe(reason);
  });
});

test("help and version are found", () => {
  expect(parseCommand(["--version"])).toEqual({ kind: "version" });
  expect(parseCommand(["--help"])).toEqual({ kind: "help", command: null });
  expect(parseCommand(["keys", "list", "--help"])).toMatchObject({ kind: "help", command: { name: "keys list" } });
});

test("the help names every command and every option", () => {
  for (const command of commands) {
    expect(helpText(null)).toContain(command.name);
    for (const { name } of command.options) expect(helpText(command)).toContain(`--${name}`);
  }
});
