import { type CommandDefinition, commands, commonOptions, type OptionDefinition } from "./commands.ts";

/** The help of a command, or of the program when there is none. */
export function helpText(command: CommandDefinition | null): string {
  const lines = command === null ? programHelp() : commandHelp(command);
  return lines.map((line) => `${line}\n`).join("");
}

function programHelp(): string[] {
  return [
    "Lists, watches and messages the devices of the Letta Code Environments API.",
    "",
    "Usage: letta-env COMMAND [options]",
    "",
    ...table(commands.map(({ name, operands, summary }) => [[name, ...operands].join(" "), summary])),
    "",
    "Options of every command:",
    ...table(commonOptions.map(optionRow)),
    "",
    "Environment:",
    ...table([
      ["LETTA_BASE_URL", "address of the gateway or server"],
      ["LETTA_API_KEY", "the key; it is never an option, where every process could read it"],
      ["NO_COLOR", "when set, no colours"],
    ]),
    "",
    "Exit codes:",
    ...table([
      ["0", "done"],
      ["1", "failed"],
      ["2", "the command line or the environment breaks a rule; nothing was sent"],
      ["3", "the device is offline; nothing was sent"],
      ["4", "refused by the server or the device"],
      ["5", "it is not known whether the message was taken; repeat it with its --message-id"],
      ["6", "there is no such device"],
      ["7", "nothing was done: unreachable or overloaded; try again later"],
      ["129, 130, 143", "ended by SIGHUP, Ctrl-C or SIGTERM"],
    ]),
    "",
    "letta-env help COMMAND shows the options of a command; letta-env --version shows the version.",
  ];
}

function commandHelp(command: CommandDefinition): string[] {
  return [
    command.summary,
    "",
    `Usage: ${["letta-env", command.name, ...command.operands, "[options]"].join(" ")}`,
    "",
    ...table([...command.options, ...commonOptions].map(optionRow)),
    ...(command.notes.length === 0 ? [] : ["", ...command.notes]),
  ];
}

function optionRow({ name, value, optionalValue, text }: OptionDefinition): readonly [string, string] {
  if (value === null) return [`--${name}`, text];
  return [optionalValue === undefined ? `--${name} ${value}` : `--${name} [${value}]`, text];
}

function table(rows: readonly (readonly [label: string, text: string])[]): string[] {
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, text]) => `  ${label.padEnd(width)}  ${text}`);
}
