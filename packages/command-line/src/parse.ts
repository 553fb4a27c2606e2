/**
 * Reads a command line according to a program's definition. commander does the parsing; this file builds its commands from the definition
 * and turns its errors into texts that name the option or command, suggest a correction, and never repeat a possible secret.
 */
import { Command, type CommanderError, Option } from "commander";
import {
  childrenOf,
  type CommandDefinition,
  type OptionDefinition,
  optionsOf,
  type ProgramDefinition,
} from "./definition.ts";
import { addHelp, helpOption } from "./help.ts";
import { suggestWord } from "./suggest.ts";

/** A command line that can be run. */
export interface ParsedCommand<Name extends string = string> {
  readonly command: CommandDefinition<Name>;
  readonly operands: readonly string[];
  /** The values of each given option, by name; an option without a value has an empty list. */
  readonly options: ReadonlyMap<string, readonly string[]>;
}

/** The meaning of a command line. The texts end with a line feed. */
export type CommandLine<Name extends string = string> =
  | { readonly kind: "run"; readonly parsed: ParsedCommand<Name> }
  /** For standard output; exit code 0. */
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "version" }
  /** For standard error; exit code 2. */
  | { readonly kind: "misused"; readonly reason: string; readonly text: string };

/**
 * Reads a command line. `--name value` and `--name=value` mean the same, options and operands can be in any order, and `--` ends the options.
 * `--help` works at every level, and so does `help`: `help keys create`, `keys help create`.
 *
 * @param width columns of the help texts
 */
export function parseCommandLine<Name extends string>(
  program: ProgramDefinition<Name>,
  words: readonly string[],
  width = 100,
): CommandLine<Name> {
  if (/^(?:--version|-[vV])$/.test(words[0] ?? "")) return { kind: "version" };
  const parser = new ProgramParser(program, width);
  try {
    parser.root.parse([...withHelpOption(program, withFallbackValues(program, words))], { from: "user" });
  } catch (error) {
    if (error instanceof Stop) return error.result as CommandLine<Name>;
    throw error;
  }
  // An action has run, since every other path through the parser throws.
  return parser.result ?? { kind: "version" };
}

/** Ends the parser with a result that is not a command to run. */
class Stop extends Error {
  readonly result: Exclude<CommandLine, { readonly kind: "run" }>;

  constructor(result: Exclude<CommandLine, { readonly kind: "run" }>) {
    super(result.kind);
    this.result = result;
  }
}

/** The words of a group or a command, and its definition if it is a command. */
interface Place<Name extends string> {
  readonly path: readonly string[];
  readonly command: CommandDefinition<Name> | null;
}

class ProgramParser<Name extends string> {
  readonly root: Command;
  result: CommandLine<Name> | null = null;
  readonly #program: ProgramDefinition<Name>;
  #help = "";

  constructor(program: ProgramDefinition<Name>, width: number) {
    this.#program = program;
    this.root = new Command(program.name).configureOutput({
      writeOut: (text) => void (this.#help += text),
      writeErr: () => undefined,
      getOutHelpWidth: () => width,
      getOutHasColors: () => false,
    });
    addHelp(this.root, program);
    const place: Place<Name> = { path: [], command: null };
    this.#prepare(this.root, place).option("-V, --version", "show the version");
    for (const option of program.commonOptions) this.root.addOption(this.#option(option, place));
    this.#addChildren(this.root, []);
  }

  #addChildren(parent: Command, path: readonly string[]): void {
    for (const { word, summary } of childrenOf(this.#program, path)) {
      const name = [...path, word].join(" ");
      const definition = this.#program.commands.find((command) => command.name === name) ?? null;
      const place = { path: [...path, word], command: definition };
      const command = this.#prepare(parent.command(word), place).description(summary);
      if (definition === null) this.#addChildren(command, place.path);
      else this.#addLeaf(command, definition, place);
    }
  }

  #addLeaf(command: Command, definition: CommandDefinition<Name>, place: Place<Name>): void {
    for (const operand of definition.operands) command.argument(operand.startsWith("[") ? operand : `<${operand}>`);
    for (const option of optionsOf(this.#program, definition)) command.addOption(this.#option(option, place));
    if (definition.notes !== undefined) command.addHelpText("after", `\n${definition.notes.join("\n")}`);
    command.action(() => {
      const given = { ...this.root.opts<Readonly<Record<string, unknown>>>(), ...command.opts() };
      if (given["version"] === true) throw new Stop({ kind: "version" });
      const options = optionsOf(this.#program, definition).flatMap(({ name }) => {
        const value: unknown = given[attributeOf(name)];
        return value === undefined ? [] : [[name, value === true ? [] : (value as readonly string[])] as const];
      });
      this.result = {
        kind: "run",
        parsed: { command: definition, operands: command.args, options: new Map(options) },
      };
    });
  }

  #prepare(command: Command, place: Place<Name>): Command {
    return command
      .enablePositionalOptions()
      .helpCommand(false)
      .helpOption(...helpOption)
      .showSuggestionAfterError(false)
      .exitOverride((error) => {
        throw error.code === "commander.helpDisplayed"
          ? new Stop({ kind: "help", text: this.#help })
          : this.#misuse(place, this.#reasonOf(error, place));
      });
  }

  #option(definition: OptionDefinition, place: Place<Name>): Option {
    const { name, value, text, isRepeatable = false, optionalValue } = definition;
    const placeholder = value === null ? "" : optionalValue === undefined ? ` <${value}>` : ` [${value}]`;
    const option = new Option(`--${name}${placeholder}`, isRepeatable ? `${text} (repeatable)` : text);
    if (value === null) return option;
    return option.argParser<readonly string[] | undefined>((given, previous) => {
      if (given === "") throw this.#misuse(place, `--${name} needs ${value}`);
      if (previous !== undefined && !isRepeatable) throw this.#misuse(place, `--${name} can be given only once`);
      return [...(previous ?? []), given];
    });
  }

  #misuse({ path }: Place<Name>, reason: string): Stop {
    const { name } = this.#program;
    const text = `${name}: ${reason}\n'${[name, ...path, "--help"].join(" ")}' shows how to use it.\n`;
    return new Stop({ kind: "misused", reason, text });
  }

  #reasonOf({ code, message }: CommanderError, place: Place<Name>): string {
    const quoted = /'([^]*)'/.exec(message)?.[1] ?? "";
    switch (code) {
      case "commander.unknownOption":
        return this.#unknownOption(quoted, place);
      case "commander.unknownCommand":
        return this.#unknownCommand(quoted, place);
      case "commander.optionMissingArgument":
        return `${quoted.replace(/ [<[](.*)[>\]]$/, " needs $1")}`;
      case "commander.missingArgument":
        return `'${place.path.join(" ")}' needs ${quoted}`;
      case "commander.excessArguments":
        return surplus(place);
      default:
        return place.path.length === 0
          ? "a command is needed"
          : `'${place.path.join(" ")}' needs a command: ${this.#wordsAt(place).join(", ")}`;
    }
  }

  #unknownOption(word: string, { path, command }: Place<Name>): string {
    const { secretOption, commonOptions, commands } = this.#program;
    const name = word.replace(/=[^]*$/, "");
    if (secretOption?.pattern.test(name) === true) return secretOption.text;
    if (!/^--?[\w-]{1,30}$/.test(name)) return "unknown option; use -- before a word that starts with a dash";
    const known = [...(command?.options ?? []), ...commonOptions];
    if (known.some((option) => `--${option.name}` === name)) return `${name} takes no value`;
    if (command === null && commands.some(({ options }) => options.some((option) => `--${option.name}` === name))) {
      return `${name} goes after the command`;
    }
    const owner = path.length === 0 ? "" : ` of '${path.join(" ")}'`;
    const reasons = Object.entries(command?.missingOptions ?? {}).filter(([option]) => `--${option}` === name);
    const hint =
      reasons.map(([, reason]) => `: ${reason}`).join("") ||
      didYouMean(
        name,
        known.map((option) => `--${option.name}`),
      );
    return `unknown option ${name}${owner}${hint}`;
  }

  #unknownCommand(word: string, place: Place<Name>): string {
    // A word that does not look like a command can be anything, for example a key, and is not repeated.
    if (!/^[\w-]{1,20}$/.test(word)) return "unknown command";
    const name = [...place.path, word].join(" ");
    const deeper = this.#program.commands.map((command) => command.name).filter((each) => each.endsWith(` ${word}`));
    const found = didYouMean(word, this.#wordsAt(place));
    const hint = found === "" && deeper[0] !== undefined ? `; did you mean ${deeper[0]}?` : found;
    return `unknown command '${name}'${hint}`;
  }

  #wordsAt({ path }: Place<Name>): readonly string[] {
    return childrenOf(this.#program, path).map(({ word }) => word);
  }
}

/**
 * Turns `help` in the place of a command into `--help` at the end: `help keys create` and `keys help create` into `keys create --help`. Common
 * options around it have no effect.
 */
function withHelpOption(program: ProgramDefinition, words: readonly string[]): readonly string[] {
  const operands = withoutCommonOptions(program, words);
  const place = operands.indexOf("help");
  const before = operands.slice(0, place);
  if (place === -1 || !isKnown(program, before) || childrenOf(program, before).length === 0) return words;
  const path = operands.filter((word) => word !== "help");
  // An unknown command stays an error.
  return isKnown(program, path) ? [...path, "--help"] : path;
}

function withoutCommonOptions({ commonOptions }: ProgramDefinition, words: readonly string[]): readonly string[] {
  const valueOf = new Map(commonOptions.map(({ name, value }) => [`--${name}`, value]));
  return words.filter((word, index) => {
    const isValue = (valueOf.get(words[index - 1] ?? "") ?? null) !== null;
    return !isValue && !valueOf.has(word.replace(/=[^]*$/, ""));
  });
}

function isKnown(program: ProgramDefinition, path: readonly string[]): boolean {
  return path.every((word, index) => childrenOf(program, path.slice(0, index)).some((child) => child.word === word));
}

/** Gives an option whose value was left out its fallback, so that the next word stays an operand. */
function withFallbackValues({ commands }: ProgramDefinition, words: readonly string[]): readonly string[] {
  const end = words.includes("--") ? words.indexOf("--") : words.length;
  const withValues = new Map<string, NonNullable<OptionDefinition["optionalValue"]>>(
    commands.flatMap(({ options }) =>
      options.flatMap(({ name, optionalValue }) =>
        optionalValue === undefined ? [] : [[`--${name}`, optionalValue] as const],
      ),
    ),
  );
  return words.map((word, index) => {
    const optional = index < end ? withValues.get(word) : undefined;
    return optional === undefined || optional.pattern.test(words[index + 1] ?? "")
      ? word
      : `${word}=${optional.fallback}`;
  });
}

function surplus({ path, command }: Place<string>): string {
  const name = path.join(" ");
  const operands = command?.operands ?? [];
  if (operands.length === 0) return `'${name}' takes options only`;
  return `too many words for '${name}': it takes ${operands.join(" ")} (quote a text that has spaces)`;
}

function didYouMean(word: string, known: readonly string[]): string {
  const suggestion = suggestWord(word, known);
  return suggestion === null ? "" : `; did you mean ${suggestion}?`;
}

/** The name under which commander stores the value of an option. */
function attributeOf(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
