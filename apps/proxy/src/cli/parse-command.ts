import { type CommandDefinition, commands, type OptionDefinition } from "./commands.ts";

/** A command line that can be run. */
export interface ParsedCommand {
  readonly command: CommandDefinition;
  readonly operands: readonly string[];
  /** Given values by option name; an option without a value has an empty list. */
  readonly options: ReadonlyMap<string, readonly string[]>;
}

/** What a command line means. */
export type CommandLine =
  | { readonly kind: "run"; readonly parsed: ParsedCommand }
  | { readonly kind: "help"; readonly command: CommandDefinition | null }
  | { readonly kind: "version" }
  /** Not a command line of ours; exit code 2. */
  | { readonly kind: "misused"; readonly reason: string; readonly command: CommandDefinition | null };

/** Reads a command line. `--name value` and `--name=value` mean the same; `--` ends the options. */
export function parseCommand(words: readonly string[]): CommandLine {
  const command = commands.find(({ name }) => startsWith(words, name.split(" "))) ?? null;
  if (command === null) return withoutCommand(words);
  const operands: string[] = [];
  const options = new Map<string, string[]>();
  const misused = (reason: string): CommandLine => ({ kind: "misused", reason, command });
  const rest = words.slice(command.name.split(" ").length);
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--help" || word === "-h") return { kind: "help", command };
    if (word === "--") {
      operands.push(...rest.splice(0));
      break;
    }
    if (!word.startsWith("-")) {
      operands.push(word);
      continue;
    }
    const [name, attached] = splitOption(word);
    const definition = command.options.find((candidate) => `--${candidate.name}` === name);
    if (definition === undefined) return misused(`unknown option ${name} of '${command.name}'`);
    if (options.has(definition.name) && !definition.isRepeatable) return misused(`${name} may be given once`);
    const value = definition.value === null ? attached : (attached ?? rest.shift());
    const mistake = valueMistake(definition, value);
    if (mistake !== null) return misused(mistake);
    options.set(definition.name, [...(options.get(definition.name) ?? []), ...(value === undefined ? [] : [value])]);
  }
  const missing = command.operands[operands.length];
  if (missing !== undefined) return misused(`'${command.name}' needs ${missing}`);
  const surplus = operands[command.operands.length];
  if (surplus !== undefined) return misused(`unexpected '${surplus}'`);
  return { kind: "run", parsed: { command, operands, options } };
}

function withoutCommand(words: readonly string[]): CommandLine {
  const [first] = words;
  if (first === undefined) return { kind: "misused", reason: "a command is needed", command: null };
  if (first === "--help" || first === "-h" || first === "help") return { kind: "help", command: null };
  if (first === "--version" || first === "-v") return { kind: "version" };
  if (first.startsWith("-"))
    return { kind: "misused", reason: `unknown option ${splitOption(first)[0]}`, command: null };
  const named = words.slice(0, 2).filter((word) => !word.startsWith("-"));
  return { kind: "misused", reason: `unknown command '${named.join(" ")}'`, command: null };
}

function startsWith(words: readonly string[], start: readonly string[]): boolean {
  return start.every((word, index) => words[index] === word);
}

function splitOption(word: string): readonly [name: string, attached: string | undefined] {
  const end = word.indexOf("=");
  return end === -1 ? [word, undefined] : [word.slice(0, end), word.slice(end + 1)];
}

function valueMistake(definition: OptionDefinition, value: string | undefined): string | null {
  if (definition.value === null) return value === undefined ? null : `--${definition.name} takes no value`;
  return value === undefined || value === "" ? `--${definition.name} needs ${definition.value}` : null;
}
