/** The options of `devices invite`. */
import { misuse, parseTime, timeForms } from "@letta-environments/command-line";
import { checkValue, type ProblemIssue } from "@letta-environments/schema";
import type { KeyRequest } from "../keys/key-lifecycle.ts";
import { keyIssues } from "../keys/key-rules.ts";
import { RequestedKeySchema } from "../keys/key-schemas.ts";
import type { GivenOptions } from "./key-options.ts";

/** How long an unused invitation is valid, unless the command says otherwise. */
const defaultExpiry = "1h";

/** An invitation as requested on the command line. */
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
