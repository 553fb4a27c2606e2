/**
 * Completion scripts for bash, zsh and fish. Each script first collects the command's path from the words before the cursor, then offers the
 * values of the option before the cursor, or the commands and options that can follow. The scripts are static: they do not call the program.
 */
import {
  childrenOf,
  type CommandDefinition,
  type OptionDefinition,
  optionsOf,
  type ProgramDefinition,
} from "./definition.ts";
import { misuse } from "./error.ts";

/**
 * Returns the completion script of a program for a shell.
 *
 * @param called how the program was called, if its name is not on the PATH, such as `npx letta-proxy`
 * @throws CommandError for shells other than bash, zsh and fish
 */
export function completionScript(program: ProgramDefinition, shell: string, called: string = program.name): string {
  const write = writers.get(shell);
  if (write === undefined) throw misuse("SHELL must be bash, zsh or fish");
  const [first, ...rest] = write(program, called);
  const hint = called === program.name ? [] : [definitionHint(program, shell, called)];
  return `${[first, ...hint, ...rest].join("\n")}\n`;
}

/** Says how to define the command name that the script completes. It is a function, because zsh completes the words of an alias. */
function definitionHint({ name }: ProgramDefinition, shell: string, called: string): string {
  const definition = shell === "fish" ? `function ${name}; ${called} $argv; end` : `${name}() { ${called} "$@"; }`;
  return `# It completes the command ${name}. Where that is not on the PATH, define it: ${definition}`;
}

const writers: ReadonlyMap<string, (program: ProgramDefinition, called: string) => string[]> = new Map([
  ["bash", bashScript],
  ["zsh", zshScript],
  ["fish", fishScript],
]);

/** A place in the tree of commands. Its path is written with a leading space before each word: `""`, `" keys"`, `" keys create"`. */
interface Place {
  readonly path: string;
  readonly children: readonly { readonly word: string; readonly summary: string }[];
  readonly command: CommandDefinition | null;
  readonly options: readonly OptionDefinition[];
}

const standardOptions: readonly OptionDefinition[] = [{ name: "help", value: null, text: "show the help" }];

function placesOf(program: ProgramDefinition, path: readonly string[] = []): Place[] {
  const children = childrenOf(program, path);
  const command = program.commands.find(({ name }) => name === path.join(" ")) ?? null;
  const options = command === null ? (path.length === 0 ? program.commonOptions : []) : optionsOf(program, command);
  const place = {
    path: path.map((word) => ` ${word}`).join(""),
    children,
    command,
    options: [...options, ...standardOptions],
  };
  return [place, ...children.flatMap(({ word }) => placesOf(program, [...path, word]))];
}

/** The name of the shell function. */
function functionOf({ name }: ProgramDefinition): string {
  return `_${name.replaceAll("-", "_")}`;
}

const isPath = ({ value }: OptionDefinition): boolean => value === "FILE" || value === "DIR";

/** The cases that complete the value of an option: its choices, paths, or nothing. */
function valueCases(
  places: readonly Place[],
  words: (choices: readonly string[]) => string,
  files: string,
  pattern: (text: string) => string,
): string[] {
  return places.flatMap(({ path, options }) =>
    options.flatMap((option) => {
      if (option.value === null) return [];
      const action = isPath(option) ? files : option.choices === undefined ? ":" : words(option.choices);
      return [`    ${pattern(`"${path}:--${option.name}"`)} ${action}; return ;;`];
    }),
  );
}

function offered({ children, command, options }: Place): string[] {
  return [
    ...children.map(({ word }) => word),
    ...(command?.operandChoices ?? []),
    ...options.map(({ name }) => `--${name}`),
  ];
}

function pathPattern(places: readonly Place[]): string {
  return places.flatMap(({ path }) => (path === "" ? [] : [`"${path}"`])).join("|");
}

function bashScript(program: ProgramDefinition, called: string): string[] {
  const places = placesOf(program);
  const name = functionOf(program);
  const reply = (list: readonly string[]): string => `COMPREPLY=($(compgen -W "${list.join(" ")}" -- "$current"))`;
  return [
    `# bash completion for ${program.name}. Load it with: source <(${called} completion bash)`,
    `${name}() {`,
    `  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path="" index`,
    "  COMPREPLY=()",
    "  for ((index = 1; index < COMP_CWORD; index++)); do",
    `    case "$path \${COMP_WORDS[index]}" in`,
    `      ${pathPattern(places)}) path="$path \${COMP_WORDS[index]}" ;;`,
    "    esac",
    "  done",
    `  case "$path:$previous" in`,
    ...valueCases(
      places,
      reply,
      `local IFS=$'\\n'; compopt -o filenames; COMPREPLY=($(compgen -f -- "$current"))`,
      (text) => `${text})`,
    ),
    "  esac",
    `  case "$path" in`,
    ...places.map((place) => `    "${place.path}") ${reply(offered(place))} ;;`),
    "  esac",
    "}",
    `complete -F ${name} ${program.name}`,
  ];
}

function zshScript(program: ProgramDefinition, called: string): string[] {
  const places = placesOf(program);
  const name = functionOf(program);
  return [
    `#compdef ${program.name}`,
    `# zsh completion for ${program.name}. Load it with: source <(${called} completion zsh)`,
    `${name}() {`,
    `  local previous="\${words[CURRENT-1]}" command_path="" index`,
    "  local -a candidates",
    "  for ((index = 2; index < CURRENT; index++)); do",
    `    case "$command_path \${words[index]}" in`,
    `      (${pathPattern(places)}) command_path="$command_path \${words[index]}" ;;`,
    "    esac",
    "  done",
    `  case "$command_path:$previous" in`,
    ...valueCases(
      places,
      (list) => `compadd -- ${list.join(" ")}`,
      "_files",
      (text) => `(${text})`,
    ),
    "  esac",
    `  case "$command_path" in`,
    ...places.flatMap(({ path, children, command, options }) => [
      `    ("${path}")`,
      "      candidates=(",
      ...children.map(({ word, summary }) => `        ${quoted(`${word}:${summary}`)}`),
      ...(command?.operandChoices ?? []).map((word) => `        ${quoted(word)}`),
      ...options.map((option) => `        ${quoted(`--${option.name}:${option.text}`)}`),
      "      ) ;;",
    ]),
    "  esac",
    `  _describe '${program.name}' candidates`,
    "}",
    `if [[ "$funcstack[1]" == "${name}" ]]; then ${name} "$@"; else compdef ${name} ${program.name}; fi`,
  ];
}

function fishScript(program: ProgramDefinition, called: string): string[] {
  const places = placesOf(program);
  const name = functionOf(program);
  const rule = (path: string, rest: string): string => `complete -c ${program.name} -n '${name}_at "${path}"' ${rest}`;
  return [
    `# fish completion for ${program.name}. Load it with: ${called} completion fish | source`,
    `function ${name}_at`,
    "  set -l path",
    "  for word in (commandline -opc)[2..]",
    `    switch "$path $word"`,
    `      case ${places.flatMap(({ path }) => (path === "" ? [] : [`"${path}"`])).join(" ")}`,
    `        set path "$path $word"`,
    "    end",
    "  end",
    `  test "$path" = "$argv[1]"`,
    "end",
    `complete -c ${program.name} -f`,
    ...places.flatMap(({ path, children, command, options }) => [
      ...children.map(({ word, summary }) => rule(path, `-a ${word} -d ${quoted(summary)}`)),
      ...(command?.operandChoices ?? []).map((word) => rule(path, `-a ${word}`)),
      ...options.map((option) => {
        const value =
          option.value === null ? "" : isPath(option) ? " -r -F" : ` -x -a '${(option.choices ?? []).join(" ")}'`;
        return rule(path, `-l ${option.name}${value} -d ${quoted(option.text)}`);
      }),
    ]),
  ];
}

/** A single-quoted text that means the same in zsh and fish. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "’")}'`;
}
