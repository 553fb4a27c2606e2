import { type CommandDefinition, commands } from "./commands.ts";

/** The help of a command, or of the program when there is none. */
export function helpText(command: CommandDefinition | null): string {
  return command === null ? programHelp() : commandHelp(command);
}

function programHelp(): string {
  const rows = commands.map(({ name, operands, summary }) => [[name, ...operands].join(" "), summary] as const);
  return [
    "Gateway in front of the Letta Code Environments API.",
    "",
    "Usage: letta-proxy COMMAND [options]",
    "",
    ...table(rows),
    "",
    "letta-proxy COMMAND --help shows the options of a command; --version shows the version.",
    "",
  ].join("\n");
}

function commandHelp(command: CommandDefinition): string {
  const rows = command.options.map(({ name, value, text, isRepeatable }) => {
    const label = value === null ? `--${name}` : `--${name} ${value}`;
    return [isRepeatable ? `${label}...` : label, text] as const;
  });
  const usage = ["letta-proxy", command.name, ...command.operands, "[options]"].join(" ");
  return [command.summary, "", `Usage: ${usage}`, "", ...table(rows), ""].join("\n");
}

function table(rows: readonly (readonly [label: string, text: string])[]): string[] {
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, text]) => `  ${label.padEnd(width)}  ${text}`);
}
