/** `devices invite`: its options, and the command that it prints. */
import { misuse, parseTime, timeForms } from "@letta-environments/command-line";
import { checkValue, type ProblemIssue } from "@letta-environments/schema";
import type { KeyRequest } from "../keys/key-lifecycle.ts";
import { keyIssues } from "../keys/key-rules.ts";
import { RequestedKeySchema } from "../keys/key-schemas.ts";
import { deviceVersion } from "../version.ts";
import type { GivenOptions } from "./key-options.ts";

/** How long an unused invitation is valid, unless the command says otherwise. */
const defaultExpiry = "1h";

/** An invitation, as the command line asks for it. */
export interface Invitation {
  readonly request: KeyRequest;
  /** The name under which the device registers; `null`: its host name. */
  readonly name: string | null;
}

/** Reads the options of `devices invite`. @throws CommandError naming the option that breaks a rule */
export function readInvitation(options: GivenOptions, nowMs: number): Invitation {
  const name = options.get("name")?.at(-1) ?? null;
  const expiresAt = parseTime(options.get("expires")?.at(-1) ?? defaultExpiry, nowMs, 1);
  if (expiresAt === null) throw misuse(`--expires must be ${timeForms}`);
  const input = {
    name: name ?? "invitation",
    tenant: options.get("tenant")?.at(-1) ?? "default",
    scopes: ["connect"],
    invite: { expiresAt, tags: options.get("tag") ?? [] },
  };
  const checked = checkValue(RequestedKeySchema, input, "the invitation", { firstIssueOnly: true });
  const [issue] = checked.ok ? keyIssues(checked.value, nowMs) : checked.issues;
  if (!checked.ok || issue !== undefined) throw misuse(describe(issue ?? { member: "", rule: "is not valid" }));
  return { request: { tenant: "default", ...checked.value }, name };
}

/** Names the option of a member, such as `--tag` for `invite.tags[0]`. */
function describe({ member, rule }: ProblemIssue): string {
  const [, part = ""] = /^invite\.(tags|expiresAt)/.exec(member) ?? [];
  return `--${{ tags: "tag", expiresAt: "expires" }[part] ?? member} ${rule}`;
}

/** The command that starts a device with Letta Code as its vendor publishes it, for a POSIX shell, in one line. */
export function formatDeviceCommand({
  baseUrl,
  key,
  name,
}: {
  /** Where devices reach the gateway. */
  readonly baseUrl: string;
  readonly key: string;
  readonly name: string | null;
}): string {
  return [
    `LETTA_BASE_URL=${quoted(baseUrl)}`,
    `LETTA_API_KEY=${quoted(key)}`,
    // Letta Code requires it for every server that is not the vendor's.
    "IGNORE_SELF_HOSTED_LISTENER_ERROR=1",
    `npx -y @letta-ai/letta-code@${deviceVersion} server --backend local`,
    `--computer-name ${name === null ? '"$(hostname)"' : quoted(name)}`,
  ].join(" ");
}

/** A word as a POSIX shell reads it. */
export function quoted(word: string): string {
  return /^[\w./:@%+,=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
