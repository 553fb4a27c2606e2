/** Writes the commands of `letta-proxy` and its exit codes into `docs/commands.md`, from the definition that the parser and the help use. */
import type { CommandDefinition, OptionDefinition, ProgramDefinition } from "@letta-environments/command-line";

/** The longest line of Markdown outside tables. */
const width = 160;

/** Replaces the text between the marks of the page. @throws if the page lacks the marks of a part */
export function writeCommandReference(page: string, program: ProgramDefinition): string {
  const shared = sharedOptions(program.commands);
  const parts = {
    "exit codes": table(["code", "meaning"], program.sections.find(({ title }) => title === "Exit codes")?.rows ?? []),
    "options of every command": optionTable(shared),
    commands: program.commands.map((command) => describe(program.name, command, shared)).join("\n\n"),
  };
  return Object.entries(parts).reduce((text, [name, part]) => replaceBetween(text, name, part), page);
}

function replaceBetween(page: string, name: string, part: string): string {
  const [begin, end] = [`<!-- ${name}: written by \`pnpm generate\` -->`, `<!-- end of ${name} -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`docs/commands.md lacks the mark ${begin}, or its end`);
  return `${page.slice(0, from)}${begin}\n\n${part}\n\n${page.slice(to)}`;
}

/** The options that every command with options has, with the same text. */
function sharedOptions(commands: readonly CommandDefinition[]): readonly OptionDefinition[] {
  const [first, ...others] = commands.filter(({ options }) => options.length > 0);
  return (first?.options ?? []).filter((option) =>
    others.every(({ options }) => options.some((other) => isEqual(option, other))),
  );
}

function isEqual(option: OptionDefinition, other: OptionDefinition): boolean {
  return option.name === other.name && option.text === other.text;
}

function describe(program: string, command: CommandDefinition, shared: readonly OptionDefinition[]): string {
  const { name, operands, summary, notes = [] } = command;
  const own = command.options.filter((option) => !shared.some((other) => isEqual(option, other)));
  return [
    `### \`${[program, name, ...operands].join(" ")}\``,
    wrap(toMarkdown(summary)),
    ...(own.length === 0 ? [] : [optionTable(own)]),
    ...(notes.length === 0 ? [] : [wrap(toMarkdown(notes.join(" ")))]),
  ].join("\n\n");
}

function optionTable(options: readonly OptionDefinition[]): string {
  const rows = options.map(({ name, value, text, isRepeatable }): [string, string] => [
    `\`--${name}${value === null ? "" : ` ${value}`}\``,
    toMarkdown(isRepeatable === true ? `${text} (repeatable)` : text),
  ]);
  return table(["option", "meaning"], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => "---"), ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** Texts of the help are plain: options with their values and quoted words become code. */
function toMarkdown(text: string): string {
  return text
    .replaceAll("|", "\\|")
    .replaceAll("*", "\\*")
    .replaceAll(/(?<![\w-])--[a-z-]+(?: [A-Z]{2,}(?:=[a-z]+)?)*/g, "`$&`")
    .replaceAll(/(?<![^\s(])'([^']+)'(?![^\s).,;:])/g, "`$1`");
}

function wrap(text: string): string {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const joined = `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && joined.length <= width) lines[lines.length - 1] = joined;
    else lines.push(word);
  }
  return lines.join("\n");
}
