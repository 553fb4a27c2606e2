/** The tools of every command of `letta-proxy`: its options, the settings, and the outputs of the process. */
import type { ShownDevice } from "../../../admin/devices.ts";
import type { KeyPatch, KeyRequest } from "../../../keys/key-lifecycle.ts";
import type { KeyActor } from "../../../keys/key-record.ts";
import type { ShownKey } from "../../../keys/key-view.ts";
import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import process from "node:process";
import { buffer } from "node:stream/consumers";
import { choosePaint, CommandError, formatJson, misuse, type Paint, printable } from "@letta-environments/command-line";
import type { ParsedLine } from "../../../commands/program.ts";
import { readRunningGateway } from "../../../adapters/node/data-dir-lock.ts";
import { standardOutput } from "../../../adapters/node/standard-output.ts";
import type { Settings } from "../../../config/settings.ts";
import { reachableHost } from "../../../lib/hosts.ts";
import { describeUnreadable, loadSettings } from "../settings.ts";

/** The tools of one command. */
export interface CommandContext {
  readonly parsed: ParsedLine;
  /** The only or last value of an option; undefined if it is not given. */
  option(name: string): string | undefined;
  /** The settings, read once. @throws CommandError naming every setting that breaks a rule */
  settings(): Settings;
  /** Columns of the terminal; `null` if standard output is not one. */
  readonly width: number | null;
  readonly paint: Paint;
  /** Prints a result: as JSON with `--json`, and otherwise as `format` writes it for people. */
  show<Value>(value: Value, format: Format<Value>): void;
  /** Prints a list as {@link show} does. For an empty list, prints `none` on standard error: on standard output it would look like an entry. */
  showList<Entry>(entries: readonly Entry[], format: Format<readonly Entry[]>, none: string): void;
}

type Format<Value> = (value: Value, width: number | null, paint: Paint) => string;

/** The context of a command line. */
export function createContext(parsed: ParsedLine): CommandContext {
  let settings: Settings | null = null;
  const isTerminal = process.stdout.isTTY === true;
  // Some terminals say that they have no columns.
  const width = isTerminal && process.stdout.columns > 0 ? process.stdout.columns : null;
  const paint = choosePaint(isTerminal, (name) => process.env[name]);
  const show = <Value>(value: Value, format: Format<Value>): void =>
    print(parsed.options.has("json") ? formatJson(value) : format(value, width, paint));
  return {
    parsed,
    option: (name) => parsed.options.get(name)?.at(-1),
    settings: () => (settings ??= loadSettings(parsed)),
    width,
    paint,
    show,
    showList(entries, format, none) {
      if (entries.length > 0 || parsed.options.has("json")) show(entries, format);
      else process.stderr.write(`${none}\n`);
    },
  };
}

/**
 * Where devices and browsers reach the gateway: `--gateway`, else `--url`, else the public URL of the settings, else where the running gateway of the
 * data directory is, which may have been started with other settings, else where a gateway with these settings would listen.
 */
export function readGatewayUrl(context: CommandContext): string {
  const given = context.option("gateway") ?? context.option("url");
  if (given === undefined) {
    const { publicUrl, host, port, dataDir } = context.settings();
    return publicUrl ?? readRunningGateway(dataDir)?.url ?? `http://${reachableHost(host)}:${port}`;
  }
  const url = URL.parse(given);
  if (url === null || !/^https?:$/.test(url.protocol)) throw misuse("--gateway must be an http: or https: URL");
  return given.replace(/\/+$/, "");
}

/** Reads the file that an option names; `-` is standard input. @throws CommandError that says why it cannot be read */
export async function readNamedFile(option: string, path: string): Promise<Uint8Array> {
  try {
    return path === "-" ? await buffer(process.stdin) : await readFile(path);
  } catch (cause) {
    const named = { path: `${option} ${path}`, isNamed: true };
    throw new CommandError(describeUnreadable(named, cause) ?? named.path, 1, { cause });
  }
}

/** The id that a command is given as its operand. */
export function idOf({ parsed }: CommandContext): string {
  return parsed.operands[0] ?? "";
}

/** The actor that the audit log records for changes by this process. */
export function commandLineActor(): KeyActor {
  try {
    const user = process.versions["bun"] === undefined ? userInfo().username : userNameOnBun();
    return { kind: "command-line", user };
  } catch {
    // The user id has no entry in the system's table.
    return { kind: "command-line", user: null };
  }
}

/** Asks the system: `userInfo()` of Bun returns `$USER`, which the caller chooses. No other command needs the module. */
function userNameOnBun(): string {
  const { execFileSync } = process.getBuiltinModule("node:child_process");
  return execFileSync("/usr/bin/id", ["-un"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
}

/** Prints a result. */
export function print(text: string): void {
  standardOutput().write(text);
}

/**
 * Listens for failures of standard error, which would end the process with a stack trace. Returns a function that waits until everything
 * is written and resolves with the exit code: a reader that has gone away, as `head` does, is not a failure.
 */
export function watchOutput(): () => Promise<number> {
  process.stderr.on("error", () => undefined);
  return async () => {
    const output = standardOutput();
    await output.settled();
    const { failure } = output;
    if (failure === null || failure === "EPIPE") return 0;
    warn(`standard output cannot be written (${failure})`);
    return 1;
  };
}

/** Prints a line for people on standard error. */
export function warn(text: string): void {
  process.stderr.write(`letta-proxy: ${printable(text)}\n`);
}

/** Warns of a damaged record, which lists leave out. */
export function warnOfDamaged(id: string): void {
  warn(
    `the stored record of the key ${id} is damaged: the key is not valid, and 'letta-proxy keys revoke ID' replaces the record`,
  );
}

/** The operations on keys, wherever they are. All reject with a `CommandError`, also for an unknown id. */
export interface KeyAdministration {
  /** Resolves with the key itself, which is shown once. */
  create(request: KeyRequest): Promise<string>;
  list(): Promise<readonly ShownKey[]>;
  retrieve(id: string): Promise<ShownKey>;
  update(id: string, patch: KeyPatch): Promise<void>;
  /** Resolves with the key in its new form. */
  rotate(id: string, overlapMs: number): Promise<string>;
  revoke(id: string): Promise<void>;
}

/** The operations on devices, wherever they are. All reject with a `CommandError`, also for an unknown id. */
export interface DeviceCommands {
  list(): Promise<readonly ShownDevice[]>;
  /** Resolves with the rows of a device, one for each of its listeners. */
  show(deviceId: string): Promise<readonly ShownDevice[]>;
  release(deviceId: string): Promise<void>;
  remove(deviceId: string): Promise<void>;
}
