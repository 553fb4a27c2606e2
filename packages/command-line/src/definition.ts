/**
 * The commands of a program as data. One definition is the source of the parser, of the help texts and of the shell completion, so the three
 * cannot disagree.
 */

/** An option of a command, such as `--limit NUMBER`. */
export interface OptionDefinition {
  /** Without dashes. */
  readonly name: string;
  /** The placeholder of the value in the help; `null` for an option without a value. `FILE` and `DIR` are completed as paths. */
  readonly value: string | null;
  /** One line that explains the option. */
  readonly text: string;
  /** Whether the option can be given more than once. */
  readonly isRepeatable?: boolean;
  /** For a value that can be left out: the next word is the value only if it matches `pattern`; otherwise the value is `fallback`. */
  readonly optionalValue?: { readonly pattern: RegExp; readonly fallback: string };
  /** Values that shell completion offers. The command itself validates its values. */
  readonly choices?: readonly string[];
}

/** A command, such as `keys create`. */
export interface CommandDefinition<Name extends string = string> {
  /** One word, or a group and a word: `start`, `keys create`. */
  readonly name: Name;
  /** One sentence. */
  readonly summary: string;
  /** Names of the operands; brackets mark those that can be left out. `FILE` is completed as a path. */
  readonly operands: readonly string[];
  readonly options: readonly OptionDefinition[];
  /** Lines that follow the options in the help. */
  readonly notes?: readonly string[];
  /** Options that people expect and the command does not have, without dashes, each with the reason. No help shows them. */
  readonly missingOptions?: Readonly<Record<string, string>>;
  /** Values that shell completion offers, by the name of the operand. */
  readonly operandChoices?: Readonly<Record<string, readonly string[]>>;
}

/** Two-column rows of the help under a title. */
export interface HelpSection {
  readonly title: string;
  readonly rows: readonly (readonly [label: string, text: string])[];
}

/** A whole program. */
export interface ProgramDefinition<Name extends string = string> {
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  /** Summaries of the groups, by their word: `{ keys: "Create, list and change gateway keys." }`. */
  readonly groups: Readonly<Record<string, string>>;
  /** In the order of the help. */
  readonly commands: readonly CommandDefinition<Name>[];
  /** Options of every command. They can also be given before the command. */
  readonly commonOptions: readonly OptionDefinition[];
  readonly sections: readonly HelpSection[];
  /** Option names under which people try to pass a secret, and the text that says where to put it. */
  readonly secretOption?: { readonly pattern: RegExp; readonly text: string };
}

/** The command that prints a completion script; both programs have it. */
export const completionCommand: CommandDefinition<"completion"> = {
  name: "completion",
  summary: "Print a script that completes commands and options in a shell.",
  operands: ["SHELL"],
  options: [],
  operandChoices: { SHELL: ["bash", "zsh", "fish"] },
  notes: ["SHELL is bash, zsh or fish."],
};

/** The options of a command, including common ones. */
export function optionsOf(program: ProgramDefinition, command: CommandDefinition): readonly OptionDefinition[] {
  return [...command.options, ...program.commonOptions];
}

/** The words that can follow `path`, each with its summary. */
export function childrenOf(
  { commands, groups }: ProgramDefinition,
  path: readonly string[],
): readonly { readonly word: string; readonly summary: string }[] {
  const children = new Map<string, string>();
  for (const { name, summary } of commands) {
    const words = name.split(" ");
    const word = words[path.length];
    if (word === undefined || path.some((each, index) => words[index] !== each)) continue;
    children.set(word, words.length === path.length + 1 ? summary : (groups[word] ?? ""));
  }
  return Array.from(children, ([word, summary]) => ({ word, summary }));
}
