/**
 * Reads the options of `keys create`, `keys update`, `devices invite` and `console link`. The rules are those of the administration over HTTP: the
 * options become the body of the same request, which is checked by the same schema, and a broken rule is reported by the name of its option.
 */
import { misuse, parseDuration, parseTime, suggestWord, timeForms } from "@letta-environments/command-line";
import { checkValue, type ProblemIssue, type Scope } from "@letta-environments/schema";
import type { GenericSchema } from "valibot";
import type { KeyPatch, KeyRequest } from "../keys/key-lifecycle.ts";
import { keyIssues, type RuledKey } from "../keys/key-rules.ts";
import { KeyPatchSchema, RequestedKeySchema } from "../keys/key-schemas.ts";
import { isJsonObject } from "../lib/json.ts";

/** The given options of a command. */
export type GivenOptions = ReadonlyMap<string, readonly string[]>;

/** The option of each member of a key. */
const optionsByMember: Readonly<Record<string, string>> = {
  name: "name",
  tenant: "tenant",
  scopes: "scope",
  description: "description",
  owner: "owner",
  deviceIds: "device",
  connectionNames: "device-name",
  deviceTags: "tag",
  agentIds: "agent",
  maxMode: "max-mode",
  setMode: "set-mode",
  deniedTools: "deny-tool",
  approvalDeadlineMs: "approval-deadline",
  expiresAt: "expires",
  rateLimits: "rate-limit",
};

const listMembers: ReadonlySet<string> = new Set([
  ...["scopes", "deviceIds", "connectionNames", "deviceTags", "agentIds", "deniedTools"],
]);

/** Options whose effect `keys update --clear` can remove. */
export const clearableOptions: readonly string[] = [
  ...["description", "owner", "device", "device-name", "tag", "agent", "max-mode", "set-mode"],
  ...["deny-tool", "approval-deadline", "shared", "rate-limit", "expires"],
];

/**
 * Reads the options of `keys create`.
 *
 * @param policies names of the rate-limit policies; `null` if they are not known
 * @throws CommandError naming the option that breaks a rule
 */
export function readKeyRequest(options: GivenOptions, nowMs: number, policies: readonly string[] | null): KeyRequest {
  const input = {
    expiresAt: null,
    rateLimits: null,
    ...readMembers(options, nowMs, policies),
    shared: options.has("shared"),
  };
  return { tenant: "default", ...checkKey(RequestedKeySchema, input, nowMs) };
}

/** Checks the members of a key or a patch. @throws CommandError naming the option that breaks a rule */
function checkKey<Key extends RuledKey>(
  schema: GenericSchema<unknown, Key>,
  input: unknown,
  nowMs: number,
  describe: (issues: readonly ProblemIssue[]) => string = describeKeyIssue,
): Key {
  const checked = checkValue(schema, input, "the key", { firstIssueOnly: true });
  const issues = checked.ok ? keyIssues(checked.value, nowMs) : checked.issues;
  if (!checked.ok || issues.length > 0) throw misuse(describe(issues));
  return checked.value;
}

/** Reads the options of `keys update` as a merge patch. @throws CommandError naming the option that breaks a rule */
export function readKeyPatch(options: GivenOptions, nowMs: number, policies: readonly string[] | null): KeyPatch {
  const cleared = (options.get("clear") ?? []).map((name) => {
    if (!clearableOptions.includes(name)) throw misuse(`--clear must be one of ${clearableOptions.join(", ")}`);
    if (options.has(name)) throw misuse(`--${name} and --clear ${name} cannot be used together`);
    const member = Object.keys(optionsByMember).find((each) => optionsByMember[each] === name) ?? name;
    return [member, member === "shared" ? false : null] as const;
  });
  const input: Readonly<Record<string, unknown>> = {
    ...Object.fromEntries(cleared),
    ...readMembers(options, nowMs, policies),
    ...(options.has("shared") && { shared: true }),
  };
  if (Object.keys(input).length === 0)
    throw misuse("nothing to change: give at least one option, such as --name or --expires");
  const limits: unknown = input["rateLimits"];
  const patch = isJsonObject(limits)
    ? { ...input, rateLimits: mapValues(limits, (text) => (text === "default" ? null : text)) }
    : input;
  return checkKey(KeyPatchSchema, patch, nowMs);
}

/** Device ids that look like names: ids are UUIDs, and a key that is restricted to a name by mistake sees no device. */
export function findDoubtfulDeviceIds(options: GivenOptions): readonly string[] {
  const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
  return (options.get("device") ?? []).filter((id) => !uuid.test(id));
}

/** Reads `--expires`: a duration from now, a date, or `never`. @throws CommandError saying what is accepted */
function readExpiry(text: string, nowMs: number): number | null {
  if (text === "never") return null;
  const timeMs = parseTime(text, nowMs, 1);
  if (timeMs === null) throw misuse(`--expires must be ${timeForms}, or never`);
  return timeMs;
}

/** Reads `--approval-deadline`, a duration. @throws CommandError saying what is accepted */
function readDeadline(text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs === null) throw misuse("--approval-deadline must be a duration such as 90s, 15m or 2h");
  return durationMs;
}

function readMembers(
  options: GivenOptions,
  nowMs: number,
  policies: readonly string[] | null,
): Readonly<Record<string, unknown>> {
  const given = Object.entries(optionsByMember).flatMap(([member, option]): (readonly [string, unknown])[] => {
    const values = options.get(option);
    if (values === undefined) return [];
    const [first = ""] = values;
    if (member === "expiresAt") return [[member, readExpiry(first, nowMs)]];
    if (member === "approvalDeadlineMs") return [[member, readDeadline(first)]];
    if (member === "rateLimits") return [[member, readRateLimits(values, policies)]];
    return [[member, listMembers.has(member) ? values : first]];
  });
  return Object.fromEntries(given);
}

/** Splits each `POLICY=LIMIT`. The schema checks the limit itself. */
function readRateLimits(
  texts: readonly string[],
  policies: readonly string[] | null,
): Readonly<Record<string, string>> {
  const entries = texts.map((text) => {
    const [, policy, limit] = /^(.+)=([^=]+)$/.exec(text) ?? [];
    if (policy === undefined || limit === undefined) {
      throw misuse("--rate-limit must be POLICY=LIMIT/WINDOW, such as gateway-sends=10/1m");
    }
    // The limit of a policy that is gone can still be removed.
    const isKnown = policies === null || policies.includes(policy) || limit === "default";
    if (!isKnown) throw misuse(unknownPolicy(policy, policies));
    return [policy, limit] as const;
  });
  return Object.fromEntries(entries);
}

function unknownPolicy(policy: string, policies: readonly string[]): string {
  const suggestion = suggestWord(policy, policies);
  const hint = suggestion === null ? "" : ` (did you mean ${suggestion}?)`;
  return `--rate-limit must name a policy that a key can override, not ${policy}${hint}: ${policies.join(", ")}`;
}

/** Describes the first rule that a key breaks, by the name of the option that sets the member. */
export function describeKeyIssue([issue]: readonly ProblemIssue[]): string {
  const [member = ""] = issue?.member.split(/[[.]/) ?? [];
  return `${member === "invite" ? "the invitation" : `--${optionsByMember[member] ?? member}`} ${issue?.rule}`;
}

function mapValues<From, To>(record: Readonly<Record<string, From>>, change: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));
}

/** How long an unused invitation is valid, unless the command says otherwise. */
const invitationExpiry = "1h";

/** An invitation as requested on the command line. */
interface Invitation {
  readonly request: KeyRequest;
  /** The name under which the device registers; `null`: its host name. */
  readonly name: string | null;
}

/** Reads the options of `devices invite`. @throws CommandError naming the option that breaks a rule */
export function readInvitation(options: GivenOptions, nowMs: number): Invitation {
  const name = options.get("name")?.at(-1) ?? null;
  const expiresAt = parseTime(options.get("expires")?.at(-1) ?? invitationExpiry, nowMs, 1);
  if (expiresAt === null) throw misuse(`--expires must be ${timeForms}`);
  const input = {
    name: name ?? "invitation",
    tenant: options.get("tenant")?.at(-1) ?? "default",
    scopes: ["connect"],
    invite: { expiresAt, tags: options.get("tag") ?? [] },
  };
  const checked = checkKey(RequestedKeySchema, input, nowMs, describeInvitationIssue);
  return { request: { tenant: "default", ...checked }, name };
}

/** Names the option of a member, such as `--tag` for `invite.tags[0]`. */
function describeInvitationIssue([issue]: readonly ProblemIssue[]): string {
  const [, part = ""] = /^invite\.(tags|expiresAt)/.exec(issue?.member ?? "") ?? [];
  return `--${{ tags: "tag", expiresAt: "expires" }[part] ?? issue?.member} ${issue?.rule}`;
}

/** The scopes of a session, unless the command names others: everything that the console shows and does. */
export const linkScopes: readonly Scope[] = ["list", "read", "send", "approve", "view", "control", "details", "admin"];

/** Reads the options of `console link`. @throws CommandError naming the option that breaks a rule */
export function readConsoleLink(options: GivenOptions, nowMs: number): KeyRequest {
  const tenant = options.get("tenant")?.at(-1) ?? "default";
  const input = { name: "console", tenant, scopes: options.get("scope") ?? linkScopes };
  return linkRequest(tenant, checkKey(RequestedKeySchema, input, nowMs).scopes);
}

/** The key of a sign-in link. */
export function linkRequest(tenant: string, scopes: readonly Scope[] = linkScopes): KeyRequest {
  return {
    name: "console",
    description: "Sign-in link of the web console; its session ends within twelve hours",
    tenant,
    scopes,
  };
}

/** The link of `console link`. Its secret is in the fragment, which browsers send to no server and leave out of `Referer`. */
export function formatConsoleLink(baseUrl: string, key: string): string {
  return `${baseUrl}/console/#link=${key}`;
}
