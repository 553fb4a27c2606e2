/** The look of the help texts: commander's layout, with placeholders in capitals, and the commands of all groups on the first page. */
import type { Command } from "commander";
import type { ProgramDefinition } from "./definition.ts";

/** The help option of every command. */
export const helpOption: readonly [flags: string, text: string] = ["-h, --help", "show this help"];

/** Describes a program in its help, and sets the look of the help of all its commands. Call it before commands are added. */
export function addHelp(root: Command, { name, summary, sections }: ProgramDefinition): void {
  root.description(summary).configureHelp({
    visibleCommands: (command) => (command === root ? leavesOf(command) : [...command.commands]),
    subcommandTerm: (command) => [...pathOf(command), ...operandsOf(command)].join(" "),
    optionTerm: ({ flags }) => flags.replace(/<(.*)>$/, "$1"),
    commandUsage: (command) => {
      const isGroup = command.commands.length > 0;
      return [name, ...pathOf(command), ...(isGroup ? ["COMMAND"] : operandsOf(command)), "[options]"].join(" ");
    },
  });
  root.addHelpText("after", ({ command }) => {
    const helper = command.createHelp();
    helper.helpWidth = command.configureOutput().getOutHelpWidth?.() ?? 80;
    const texts = sections.map(({ title, rows }) => {
      const width = Math.max(...rows.map(([label]) => label.length));
      const lines = rows.map(([label, text]) => helper.formatItem(label, width, text, helper));
      return `\n${title}:\n${lines.join("\n")}`;
    });
    return `${texts.join("\n")}\n\n'${name} COMMAND --help' shows the options of a command.`;
  });
}

function leavesOf(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap((each) => leavesOf(each));
}

/** The words of a command after the program's name. */
function pathOf(command: Command): string[] {
  return command.parent === null ? [] : [...pathOf(command.parent), command.name()];
}

/** The operands as the definition writes them. */
function operandsOf({ registeredArguments }: Command): string[] {
  return registeredArguments.map((argument) => (argument.required ? argument.name() : `[${argument.name()}]`));
}
