import { checkValue, type ProblemIssue } from "@letta-environments/schema";
import type { KeyRequest } from "../keys/key-lifecycle.ts";
import { expiryRule, RequestedKeySchema } from "../keys/key-schemas.ts";
import { type KeyRateLimits, parseDuration } from "../keys/key-rate-limit.ts";
import type { ParsedCommand } from "./parse-command.ts";

/** The option behind each member of a key. */
const optionsByMember: Readonly<Record<string, string>> = {
  name: "name",
  tenant: "tenant",
  scopes: "scope",
  description: "description",
  owner: "owner",
  deviceIds: "device",
  connectionNames: "device-name",
  agentIds: "agent",
  maxMode: "max-mode",
  expiresAt: "expires",
  rateLimits: "rate-limit",
};

/** Members whose options are more than a text. */
const readApart: ReadonlySet<string> = new Set(["expiresAt", "rateLimits"]);

const repeatable: ReadonlySet<string> = new Set(["scopes", "deviceIds", "connectionNames", "agentIds"]);

/** Reads the options of `keys create`, or says which one is wrong. The rules are those of every way to make a key. */
export function readKeyRequest(
  { options }: ParsedCommand,
  nowMs: number,
): { readonly ok: true; readonly value: KeyRequest } | { readonly ok: false; readonly reason: string } {
  const [expires] = options.get("expires") ?? [];
  const lifetimeMs = expires === undefined ? null : parseDuration(expires);
  if (expires !== undefined && (lifetimeMs === null || lifetimeMs === 0)) {
    return mistake("--expires must be a duration such as 30d, 12h, 15m or 30s");
  }
  const expiresAt = lifetimeMs === null ? null : nowMs + lifetimeMs;
  const rateLimits = readRateLimits(options.get("rate-limit") ?? []);
  if (rateLimits === undefined) return mistake("--rate-limit must be POLICY=LIMIT/WINDOW, such as gateway-sends=10/1m");
  const given = Object.entries(optionsByMember).flatMap(([member, option]) => {
    const values = readApart.has(member) ? undefined : options.get(option);
    return values === undefined ? [] : [[member, repeatable.has(member) ? values : values[0]] as const];
  });
  const input = { ...Object.fromEntries(given), expiresAt, rateLimits, shared: options.has("shared") };
  const checked = checkValue(RequestedKeySchema, input, "the key", { firstIssueOnly: true });
  if (!checked.ok) return mistake(describe(checked.issues));
  const rule = expiryRule(expiresAt, nowMs);
  if (rule !== null) return mistake(`--expires ${rule}`);
  return { ok: true, value: { tenant: "default", ...checked.value } };
}

/** Splits `POLICY=MEASURE`; what a measure is, the key's own rules tell. `undefined` when there is nothing to split. */
function readRateLimits(texts: readonly string[]): KeyRateLimits | null | undefined {
  if (texts.length === 0) return null;
  const entries = texts.map((text) => /^(.+)=([^=]+)$/.exec(text)?.slice(1));
  if (entries.includes(undefined)) return undefined;
  return Object.fromEntries(entries.flatMap((entry) => (entry === undefined ? [] : [entry])));
}

function describe([issue]: readonly ProblemIssue[]): string {
  const [member = ""] = issue?.member.split(/[[.]/) ?? [];
  const rule = issue?.rule === "is required" ? "is needed" : issue?.rule;
  return `--${optionsByMember[member] ?? member} ${rule}`;
}

function mistake(reason: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason };
}
