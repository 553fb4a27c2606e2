/** Everything that `letta-env` and `letta-proxy` share: definitions of commands, parsing, help, completion, tables and safe output. */
export { completionScript } from "./completion.ts";
export {
  type CommandDefinition,
  completionCommand,
  type HelpSection,
  type OptionDefinition,
  type ProgramDefinition,
} from "./definition.ts";
export { formatDeviceCommand } from "./device-command.ts";
export { displayWidth, indent, truncate } from "./display-width.ts";
export { CommandError, misuse } from "./error.ts";
export { type ParsedCommand, parseCommandLine } from "./parse.ts";
export {
  createPrintableStream,
  escapeSpaces,
  formatColumns,
  formatJson,
  joinLines,
  printable,
  printableLines,
} from "./printable.ts";
export { quoteForShell } from "./shell-word.ts";
export { choosePaint, type Paint, type Style } from "./style.ts";
export { suggestWord } from "./suggest.ts";
export { type Cell, type Column, formatDetails, formatTable, plain } from "./table.ts";
export { formatAge, formatDate, formatTime, parseDuration, parseTime, timeForms } from "./time.ts";
