/** The commands for keys. They work on the keys of this machine or, with `--url`, on those of a gateway elsewhere. */
import { CommandError, misuse, parseDuration, printable, quoteForShell } from "@letta-environments/command-line";
import { systemClock } from "@letta-environments/platform/node";
import { allowsMode, matchesNamePattern, unaskedTools } from "@letta-environments/schema";
import { readRunningGateway } from "../../../adapters/node/data-dir-lock.ts";
import {
  findDoubtfulDeviceIds,
  formatConsoleLink,
  readConsoleLink,
  readKeyPatch,
  readKeyRequest,
} from "../../../commands/key-options.ts";
import { formatKeyDetails, formatKeyTable } from "../../../commands/key-text.ts";
import type { KeyRequest } from "../../../keys/key-lifecycle.ts";
import { defaultOverlapMs } from "../../../keys/key-schemas.ts";
import { maxDurationMs } from "../../../keys/key-rate-limit.ts";
import { overridablePolicies } from "../../../limits/settings.ts";
import { administerRemoteKeys } from "./admin-client.ts";
import { type CommandContext, idOf, type KeyAdministration, print, readGatewayUrl, warn } from "./context.ts";
import { administerLocalKeys, createLocalLink } from "./local-keys.ts";

/** `keys create`: prints the key alone on standard output. */
export async function createKeyCommand(context: CommandContext): Promise<void> {
  const { options } = context.parsed;
  const request = readKeyRequest(options, systemClock.now(), knownPolicies(context));
  warnOfNames(context);
  warnOfMode(request);
  warnOfUnaskedTools(request);
  print(`${await administer(context).create(request)}\n`);
}

/** `keys list` */
export async function listKeysCommand(context: CommandContext): Promise<void> {
  context.showList(await administer(context).list(), formatKeyTable, "There are no keys.");
}

/** `keys show ID` */
export async function showKeyCommand(context: CommandContext): Promise<void> {
  context.show(await administer(context).retrieve(idOf(context)), formatKeyDetails);
}

/** `keys update ID` */
export async function updateKeyCommand(context: CommandContext): Promise<void> {
  const patch = readKeyPatch(context.parsed.options, systemClock.now(), knownPolicies(context));
  warnOfNames(context);
  await administer(context).update(idOf(context), patch);
  print(`Updated ${idOf(context)}\n`);
}

/** `keys disable ID` and `keys enable ID` */
export async function setDisabledCommand(context: CommandContext, disabled: boolean): Promise<void> {
  await administer(context).update(idOf(context), { disabled });
  print(`${disabled ? "Disabled" : "Enabled"} ${idOf(context)}\n`);
}

/** `keys revoke ID` */
export async function revokeKeyCommand(context: CommandContext): Promise<void> {
  await administer(context).revoke(idOf(context));
  print(`Revoked ${idOf(context)}\n`);
}

/** `keys rotate ID`: prints the new key alone on standard output. */
export async function rotateKeyCommand(context: CommandContext): Promise<void> {
  const overlap = context.option("overlap");
  const overlapMs = overlap === undefined ? defaultOverlapMs : parseDuration(overlap);
  if (overlapMs === null || overlapMs > maxDurationMs) {
    throw misuse("--overlap must be a duration such as 1h, 15m or 0s, and at most a hundred years");
  }
  print(`${await administer(context).rotate(idOf(context), overlapMs)}\n`);
}

/** `console link`: prints the link alone on standard output. Its key is in the store of this machine. */
export async function consoleLinkCommand(context: CommandContext): Promise<void> {
  const request = readConsoleLink(context.parsed.options, systemClock.now());
  const baseUrl = readGatewayUrl(context);
  if (!context.parsed.options.has("gateway")) assertServesConsole(context.settings().dataDir);
  print(`${printable(formatConsoleLink(baseUrl, await createLocalLink(context, request)))}\n`);
}

/** Refuses a link that the running gateway of the data directory would not know. @throws CommandError */
function assertServesConsole(dataDir: string): void {
  const state = readRunningGateway(dataDir)?.console ?? "served";
  if (state === "served") return;
  throw new CommandError(
    state === "off"
      ? "the web console is off: start the gateway with --console"
      : "the web console is off, because its folder 'console' is not beside the program",
  );
}

function administer(context: CommandContext): KeyAdministration {
  return context.parsed.options.has("url") ? administerRemoteKeys(context) : administerLocalKeys(context);
}

/** The policies that `--rate-limit` can name; `null` if the command cannot know them. */
function knownPolicies(context: CommandContext): readonly string[] | null {
  const { options } = context.parsed;
  if (!options.has("rate-limit") || options.has("url")) return null;
  const policies = overridablePolicies(context.settings().rateLimits.limits);
  if (policies === null)
    warn("rate limits are off in this configuration; --rate-limit has no effect until they are on");
  return policies;
}

/** A key that is restricted to a name by mistake sees no device at all. */
function warnOfNames({ parsed }: CommandContext): void {
  for (const id of findDoubtfulDeviceIds(parsed.options)) {
    warn(
      `--device ${id} does not look like a device id, such as 88fd30f6-6337-4c38-b858-2f1581703994; for a name use --device-name ${quoteForShell(id)}`,
    );
  }
}

/** Denying a tool that devices never ask about has no effect. */
function warnOfUnaskedTools({ deniedTools = null }: KeyRequest): void {
  const unasked = unaskedTools.filter((tool) => deniedTools?.some((pattern) => matchesNamePattern(pattern, tool)));
  if (unasked.length === 0) return;
  warn(
    `a device never asks for permission to use these tools, so --deny-tool has no effect on them: ${unasked.join(", ")}`,
  );
}

/** A new device runs in the mode `unrestricted`: a key with a maximum mode cannot send to it, and denied tools have no effect there. */
function warnOfMode({ scopes, maxMode = null, setMode = null, deniedTools = null }: KeyRequest): void {
  if (setMode !== null || !scopes.includes("send")) return;
  if (allowsMode({ maxMode }, "unrestricted")) {
    if (deniedTools === null) return;
    return warn(
      "--deny-tool without --set-mode: new conversations are in the mode unrestricted, in which a device never asks; '--set-mode standard' sets a mode before each message",
    );
  }
  warn(
    `--max-mode ${maxMode} without --set-mode: messages are refused (mode_not_allowed) while a conversation is in a more permissive mode, and a new one is; '--set-mode ${maxMode}' sets it before each message`,
  );
}
