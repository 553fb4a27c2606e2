/**
 * Completion scripts for bash, zsh and fish. Each script first collects the command's path from the words before the cursor, then offers the
 * values of the option before the cursor, or the commands, operands and options that can follow. The scripts are static: they do not call the program.
 */
import { childrenOf, type OptionDefinition, optionsOf, type ProgramDefinition } from "./definition.ts";
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
  readonly options: readonly OptionDefinition[];
  readonly values: readonly Slot[];
  readonly operands: readonly Slot[];
}

/** A word that is completed: its pattern, and its choices or paths. */
interface Slot {
  readonly at: string;
  readonly choices: readonly string[] | "paths" | "none";
}

const standardOptions: readonly OptionDefinition[] = [{ name: "help", value: null, text: "show the help" }];
const versionOption: OptionDefinition = { name: "version", value: null, text: "show the version" };

function placesOf(program: ProgramDefinition, words: readonly string[] = []): Place[] {
  const children = childrenOf(program, words);
  const command = program.commands.find(({ name }) => name === words.join(" "));
  const ofRoot = words.length === 0 ? [...program.commonOptions, versionOption] : [];
  const options = [...(command === undefined ? ofRoot : optionsOf(program, command)), ...standardOptions];
  const path = words.map((word) => ` ${word}`).join("");
  const values = options.flatMap(({ name, value, choices }) =>
    value === null ? [] : [slot(`${path}:--${name}`, value, choices)],
  );
  const operands = (command?.operands ?? []).map((operand, index) => {
    const name = operand.replaceAll(/[[\]]/g, "");
    return slot(`${path}:${index}`, name, command?.operandChoices?.[name]);
  });
  const place = { path, children, options, values, operands: operands.filter(({ choices }) => choices !== "none") };
  return [place, ...children.flatMap(({ word }) => placesOf(program, [...words, word]))];
}

function slot(at: string, name: string, choices: readonly string[] | undefined): Slot {
  return { at: `"${at}"`, choices: isPath(name) ? "paths" : (choices ?? "none") };
}

/** The name of the shell function. */
function functionOf({ name }: ProgramDefinition): string {
  return `_${name.replaceAll("-", "_")}`;
}

const isPath = (name: string): boolean => name === "FILE" || name === "DIR";

/** The cases that complete words. */
function cases(
  slots: readonly Slot[],
  words: (choices: readonly string[]) => string,
  files: string,
  pattern: (text: string) => string,
): string[] {
  return slots.map(({ at, choices }) => {
    const action = choices === "none" ? "return" : choices === "paths" ? files : words(choices);
    return `    ${pattern(at)} ${action} ;;`;
  });
}

/** The patterns of options that take the next word as their value. */
function valuedPatterns(places: readonly Place[]): string[] {
  return places.flatMap(({ path, options }) =>
    options.flatMap(({ name, value, optionalValue }) =>
      value === null || optionalValue !== undefined ? [] : [`"${path}:--${name}"`],
    ),
  );
}

/** The patterns of words that lead to a place below. */
function stepPatterns(places: readonly Place[]): string[] {
  return places.flatMap(({ path, children }) => children.map(({ word }) => `"${path}:${word}"`));
}

function bashScript(program: ProgramDefinition, called: string): string[] {
  const places = placesOf(program);
  const name = functionOf(program);
  const list = (words: readonly string[]): string => `words="${words.join(" ")}"`;
  const reply = 'COMPREPLY=($(compgen -W "$words" -- "$current"))';
  const files = `local IFS=$'\\n'; compopt -o filenames; COMPREPLY=($(compgen -f -- "$current")); return`;
  const pattern = (text: string): string => `${text})`;
  return [
    `# bash completion for ${program.name}. Load it with: source <(${called} completion bash)`,
    `${name}() {`,
    `  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path="" operand=0 words="" index`,
    "  COMPREPLY=()",
    "  # Equals signs and colons are words of their own.",
    '  if [[ "$current" == "=" ]]; then current=""',
    `  elif [[ "$previous" == "=" ]]; then previous="\${COMP_WORDS[COMP_CWORD-2]}"; fi`,
    "  for ((index = 1; index < COMP_CWORD; index++)); do",
    `    case "$path:\${COMP_WORDS[index]}" in`,
    `      ${valuedPatterns(places).join("|")}) [[ "\${COMP_WORDS[index+1]}" == "=" ]] || ((index++)) ;;`,
    "      *:[=:]*) ((index++)) ;;",
    "      *:-*) ;;",
    `      ${stepPatterns(places).join("|")}) path="$path \${COMP_WORDS[index]}" operand=0 ;;`,
    "      *) ((operand++)) ;;",
    "    esac",
    "  done",
    `  case "$path:$previous" in`,
    ...cases(
      places.flatMap(({ values }) => values),
      (choices) => `${list(choices)}; ${reply}; return`,
      files,
      pattern,
    ),
    "  esac",
    `  [[ "$current" == -* ]] || case "$path:$operand" in`,
    ...cases(
      places.flatMap(({ operands }) => operands),
      list,
      files,
      pattern,
    ),
    "  esac",
    `  case "$path" in`,
    ...places.map(({ path, children, options }) => {
      const offered = [...children.map(({ word }) => word), ...options.map((option) => `--${option.name}`)];
      return `    "${path}") words="$words ${offered.join(" ")}" ;;`;
    }),
    "  esac",
    `  ${reply}`,
    "}",
    `complete -F ${name} ${program.name}`,
  ];
}

function zshScript(program: ProgramDefinition, called: string): string[] {
  const places = placesOf(program);
  const name = functionOf(program);
  const pattern = (text: string): string => `(${text})`;
  return [
    `#compdef ${program.name}`,
    `# zsh completion for ${program.name}. Load it with: source <(${called} completion zsh)`,
    `${name}() {`,
    `  local previous="\${words[CURRENT-1]}" command_path="" operand=0 index`,
    "  local -a candidates",
    `  if [[ "\${words[CURRENT]}" == --*=* ]]; then previous="\${words[CURRENT]%%=*}"; compset -P 1 '*='; fi`,
    "  for ((index = 2; index < CURRENT; index++)); do",
    `    case "$command_path:\${words[index]}" in`,
    `      (${valuedPatterns(places).join("|")}) ((index++)) ;;`,
    "      (*:-*) ;;",
    `      (${stepPatterns(places).join("|")}) command_path="$command_path \${words[index]}" operand=0 ;;`,
    "      (*) ((operand++)) ;;",
    "    esac",
    "  done",
    `  case "$command_path:$previous" in`,
    ...cases(
      places.flatMap(({ values }) => values),
      (choices) => `compadd -- ${choices.join(" ")}; return`,
      "_files; return",
      pattern,
    ),
    "  esac",
    `  [[ "\${words[CURRENT]}" == -* ]] || case "$command_path:$operand" in`,
    ...cases(
      places.flatMap(({ operands }) => operands),
      (choices) => `candidates=(${choices.join(" ")})`,
      "_files; return",
      pattern,
    ),
    "  esac",
    `  case "$command_path" in`,
    ...places.flatMap(({ path, children, options }) => [
      `    ("${path}")`,
      "      candidates+=(",
      ...children.map(({ word, summary }) => `        ${quoted(`${word}:${summary}`)}`),
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
  const rule = (at: string, rest: string): string => `complete -c ${program.name} -n '${name}_at ${at}' ${rest}`;
  return [
    `# fish completion for ${program.name}. Load it with: ${called} completion fish | source`,
    `function ${name}_at`,
    "  set -l path",
    "  set -l operand 0",
    "  set -l is_value no",
    "  for word in (commandline -opc)[2..]",
    "    if test $is_value = yes",
    "      set is_value no",
    "      continue",
    "    end",
    `    switch "$path:$word"`,
    `      case ${valuedPatterns(places).join(" ")}`,
    "        set is_value yes",
    "      case '*:-*'",
    `      case ${stepPatterns(places).join(" ")}`,
    `        set path "$path $word"`,
    "        set operand 0",
    "      case '*'",
    "        set operand (math $operand + 1)",
    "    end",
    "  end",
    `  contains -- "$argv[1]" "$path" "$path:$operand"`,
    "end",
    `complete -c ${program.name} -f`,
    ...places.flatMap(({ path, children, operands, options }) => [
      ...children.map(({ word, summary }) => rule(`"${path}"`, `-a ${word} -d ${quoted(summary)}`)),
      ...operands.map(({ at, choices }) => rule(at, typeof choices === "string" ? "-F" : `-a '${choices.join(" ")}'`)),
      ...options.map(({ name: option, value, choices = [], text }) => {
        const given = value === null ? "" : isPath(value) ? " -r -F" : ` -x -a '${choices.join(" ")}'`;
        return rule(`"${path}"`, `-l ${option}${given} -d ${quoted(text)}`);
      }),
    ]),
  ];
}

/** A single-quoted text that means the same in zsh and fish. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "’")}'`;
}
