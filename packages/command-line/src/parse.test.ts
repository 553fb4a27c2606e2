import { describe, expect, test } from "vitest";
import { sampleProgram } from "../test/sample-program.ts";
import { parseCommandLine } from "./parse.ts";

const words = (line: string): string[] => (line === "" ? [] : line.split(" "));

function parse(line: string): unknown {
  const parsed = parseCommandLine(sampleProgram, words(line));
  if (parsed.kind !== "run") return parsed;
  const { command, operands, options } = parsed.parsed;
  return [command.name, ...operands, Object.fromEntries(options)];
}

function help(line: string): string {
  const parsed = parseCommandLine(sampleProgram, words(line));
  return parsed.kind === "help" ? parsed.text : parsed.kind;
}

test("options are accepted before, between and after operands, with a space or an equals sign, and common ones also before the command", () => {
  const read = ["send", "laptop", "hello", { agent: ["a=b"], verbose: [] }];
  expect(parse("send laptop hello --agent a=b --verbose")).toEqual(read);
  expect(parse("send --agent=a=b laptop --verbose hello")).toEqual(read);
  expect(parse("--verbose send laptop --agent a=b hello")).toEqual(read);
});

test("repeatable options collect their values, and options without a value have none", () => {
  expect(parse("keys create --name n --scope list --scope=send --shared --config c.json")).toEqual([
    "keys create",
    { name: ["n"], scope: ["list", "send"], shared: [], config: ["c.json"] },
  ]);
});

test("a double dash ends the options, and a single dash is an operand", () => {
  expect(parse("send laptop -- --help")).toEqual(["send", "laptop", "--help", {}]);
  expect(parse("send laptop -")).toEqual(["send", "laptop", "-", {}]);
});

test("an optional value is consumed only if it looks like one", () => {
  expect(parse("send laptop --wait-online hello")).toEqual(["send", "laptop", "hello", { "wait-online": ["5m"] }]);
  expect(parse("send laptop --wait-online 9s hi")).toEqual(["send", "laptop", "hi", { "wait-online": ["9s"] }]);
  expect(parse("send laptop --wait-online=9s")).toEqual(["send", "laptop", { "wait-online": ["9s"] }]);
  expect(parse("send laptop --wait-online")).toEqual(["send", "laptop", { "wait-online": ["5m"] }]);
  expect(parse("send laptop -- --wait-online")).toEqual(["send", "laptop", "--wait-online", {}]);
});

describe("help for each level", () => {
  test("--help of the program lists the commands of all groups, common options and sections", () => {
    for (const line of ["--help", "-h", "help"]) {
      expect(help(line)).toBe(`Usage: sample-tool COMMAND [options]

Does things.

Options:
  -V, --version          show the version
  --config FILE          the configuration
  --verbose              say more
  -h, --help             show this help

Commands:
  send DEVICE [MESSAGE]  Send a message.
  keys create            Create a key.
  keys list              List the keys.
  mode DEVICE MODE       Change the mode.
  backup FILE            Write a backup.
  completion SHELL       Print a script that completes commands and options in a shell.

Exit codes:
  0  done

'sample-tool COMMAND --help' shows the options of a command.
`);
    }
  });

  test("--help of the program is also shown after a common option, and for help itself", () => {
    for (const line of ["--config x help", "--config=x help", "--verbose help", "help help", "help --config help"])
      expect(help(line)).toBe(help("--help"));
    expect(help("--config x help send")).toBe(help("send --help"));
    expect(help("help send --config x")).toBe(help("send --help"));
  });

  test("--help of a group lists its commands", () => {
    for (const line of ["keys --help", "keys -h", "help keys", "keys help", "keys --config x help"]) {
      expect(help(line)).toContain("Usage: sample-tool keys COMMAND [options]\n");
      expect(help(line)).toContain("  keys list    List the keys.\n");
    }
  });

  test("--help of a command lists its options, common ones and notes, whatever else is on the line", () => {
    for (const line of [
      "send --help",
      "help send",
      "send laptop -h",
      "send --agent a --help",
      "send --nonsense --help",
    ]) {
      expect(help(line)).toContain("Usage: sample-tool send DEVICE [MESSAGE] [options]\n\nSend a message.\n");
      expect(help(line)).toContain("  --wait-online [DURATION]  wait for the device (default 5m)\n");
      expect(help(line)).toContain("  --config FILE ");
      expect(help(line)).toContain("\nDEVICE is an id or a name.\n");
    }
    for (const line of ["keys create --help", "help keys create", "keys help create", "keys create -h"]) {
      expect(help(line)).toMatch(/^ {2}--scope SCOPE +a scope \(repeatable\)$/m);
    }
  });
});

test("the version is shown for --version, -V and -v", () => {
  for (const line of ["--version", "-V", "-v"]) expect(parse(line)).toEqual({ kind: "version" });
});

describe("command lines that cannot be run", () => {
  test.each([
    ["", "a command is needed"],
    ["--verbose", "a command is needed"],
    ["keys", "'keys' needs a command: create, list"],
    ["sned", "unknown command 'sned'; did you mean send?"],
    ["help sned", "unknown command 'sned'; did you mean send?"],
    ["--config x help sned", "unknown command 'sned'; did you mean send?"],
    ["--confg x help", "unknown option --confg; did you mean --config?"],
    ["keys craete", "unknown command 'keys craete'; did you mean create?"],
    ["create", "unknown command 'create'; did you mean keys create?"],
    ["key list", "unknown command 'key'; did you mean keys?"],
    ["connections", "unknown command 'connections'"],
    ["lek_AAAAAAAAAAAA_BBBBBBBBBBBBBBBBBBBBBBBB", "unknown command"],
    ["send d --agnet a", "unknown option --agnet of 'send'; did you mean --agent?"],
    ["send d --scope list", "unknown option --scope of 'send'"],
    ["keys create --id 7", "unknown option --id of 'keys create': each key has a new id"],
    ["send d -x", "unknown option -x of 'send'"],
    ["--confg x send d", "unknown option --confg; did you mean --config?"],
    ["--agent a send d", "--agent goes after the command"],
    ["keys create --shared=yes", "--shared takes no value"],
    ["send d --agent", "--agent needs ID"],
    ["send d --agent=", "--agent needs ID"],
    ["send d --agent a --agent b", "--agent can be given only once"],
    ["keys list now", "'keys list' takes options only"],
    ["send", "'send' needs DEVICE"],
    ["send a b c", "too many words for 'send': it takes DEVICE [MESSAGE] (quote a text that has spaces)"],
  ])("the command line '%s' is refused with the reason: %s", (line, reason) => {
    expect(parse(line)).toMatchObject({ kind: "misused", reason });
  });

  test("a refused command line is reported on standard error, with the help to read", () => {
    expect(parse("keys create --nam n")).toMatchObject({
      text:
        "sample-tool: unknown option --nam of 'keys create'; did you mean --name?\n" +
        "'sample-tool keys create --help' shows how to use it.\n",
    });
    expect(parse("sned")).toMatchObject({ text: expect.stringContaining("'sample-tool --help' shows") });
  });

  test.each([
    "send d --key lek_secret",
    "send d --token=lek_secret",
    "--key lek_secret send d",
    "send d --lek=_secret/x",
  ])("the command line '%s' is refused without repeating the secret", (line) => {
    const parsed = parseCommandLine(sampleProgram, words(line));
    expect(parsed.kind).toBe("misused");
    expect(JSON.stringify(parsed)).not.toContain("secret");
  });
});
