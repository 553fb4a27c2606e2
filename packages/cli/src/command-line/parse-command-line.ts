import { type CommandDefinition, commands, commonOptions, type OptionDefinition } from "./commands.ts";
import { suggestWord } from "./suggest-word.ts";

/** A command line that can be run. */
export interface ParsedCommand {
  readonly command: CommandDefinition;
  readonly operands: readonly string[];
  /** Given values by option name; empty for an option without a value. */
  readonly options: ReadonlyMap<string, string>;
}

/** What a command line means. */
export type CommandLine =
  | { readonly kind: "run"; readonly parsed: ParsedCommand }
  | { readonly kind: "help"; readonly command: CommandDefinition | null }
  | { readonly kind: "version" }
  | { readonly kind: "misused"; readonly reason: string; readonly command: CommandDefinition | null };

/**
 * Reads a command line. `--name value` and `--name=value` mean the same, options and operands may stand in any order, common
 * options also before the command, and `--` ends the options.
 */
export function parseCommandLine(words: readonly string[]): CommandLine {
  const rest = [...words];
  let command: CommandDefinition | null = null;
  const operands: string[] = [];
  const options = new Map<string, string>();
  const misused = (reason: string): CommandLine => ({ kind: "misused", reason, command });
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "-h" || word === "--help") return { kind: "help", command };
    if (command === null && (word === "--version" || word === "-V" || word === "-v")) return { kind: "version" };
    if (word === "--" && command !== null) {
      operands.push(...rest.splice(0));
    } else if (!word.startsWith("-") || word === "-") {
      if (command !== null) operands.push(word);
      else {
        command = findCommand(word);
        if (command === null) return misused(unknownCommand(word));
      }
    } else {
      const mistake = takeOption(word, rest, command, options);
      if (mistake !== null) return misused(mistake);
    }
  }
  if (command === null) return misused("a command is needed");
  const missing = command.operands[operands.length];
  if (missing !== undefined && !missing.startsWith("[")) return misused(`'${command.name}' needs ${missing}`);
  if (operands.length > command.operands.length) return misused(surplus(command));
  return command.name === "help" ? helpOf(operands[0]) : { kind: "run", parsed: { command, operands, options } };
}

function helpOf(word: string | undefined): CommandLine {
  if (word === undefined) return { kind: "help", command: null };
  const command = findCommand(word);
  return command === null
    ? { kind: "misused", reason: unknownCommand(word), command: null }
    : { kind: "help", command };
}

function findCommand(word: string): CommandDefinition | null {
  return commands.find(({ name }) => name === word) ?? null;
}

/** Takes an option, with its value, off the words; the result says what is wrong with it. */
function takeOption(
  word: string,
  rest: string[],
  command: CommandDefinition | null,
  options: Map<string, string>,
): string | null {
  const end = word.indexOf("=");
  const name = end === -1 ? word : word.slice(0, end);
  const attached = end === -1 ? undefined : word.slice(end + 1);
  const known = [...(command?.options ?? []), ...commonOptions];
  const definition = known.find((candidate) => `--${candidate.name}` === name);
  if (definition === undefined) return unknownOption(name, command, known);
  if (options.has(definition.name)) return `${name} may be given once`;
  if (definition.value === null && attached !== undefined) return `${name} takes no value`;
  const value = attached ?? nextValue(definition, rest);
  if (value === undefined) return `${name} needs ${definition.value}`;
  if (attached === "") return `${name} needs ${definition.value}`;
  options.set(definition.name, value);
  return null;
}

function nextValue({ value, optionalValue }: OptionDefinition, rest: string[]): string | undefined {
  if (value === null) return "";
  if (optionalValue === undefined) return rest.shift();
  return rest[0] !== undefined && optionalValue.test(rest[0]) ? rest.shift() : "";
}

function unknownCommand(word: string): string {
  // What looks like no command may be anything, a key for instance, and is not repeated.
  if (!/^[\w-]{1,20}$/.test(word)) return "unknown command";
  const names = commands.map(({ name }) => name);
  return `unknown command '${word}'${didYouMean(suggestWord(word, names))}`;
}

function unknownOption(name: string, command: CommandDefinition | null, known: readonly OptionDefinition[]): string {
  if (/^--(?:api-?)?(?:key|token)$/.test(name)) {
    return "the key is never an option, where every process could read it: set LETTA_API_KEY, or use --api-key-file FILE";
  }
  if (!/^--?[\w-]{1,30}$/.test(name)) return "unknown option; -- ends the options";
  const owner = command === null ? commands.find(({ options }) => options.some((it) => `--${it.name}` === name)) : null;
  if (owner !== null && owner !== undefined) return `${name} belongs behind its command`;
  const suggestion = suggestWord(
    name,
    known.map((option) => `--${option.name}`),
  );
  return `unknown option ${name}${command === null ? "" : ` of '${command.name}'`}${didYouMean(suggestion)}`;
}

function surplus({ name, operands }: CommandDefinition): string {
  if (operands.length === 0) return `'${name}' takes options only`;
  return `too many words for '${name}': it takes ${operands.join(" ")} (quote a text that has spaces)`;
}

function didYouMean(suggestion: string | null): string {
  return suggestion === null ? "" : `; did you mean ${suggestion}?`;
}
