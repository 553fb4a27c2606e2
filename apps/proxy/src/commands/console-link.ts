/** `console link`: its options, and the link that it prints. */
import { misuse } from "@letta-environments/command-line";
import { checkValue, type Scope } from "@letta-environments/schema";
import { RequestedKeySchema } from "../keys/key-schemas.ts";
import type { KeyRequest } from "../keys/key-lifecycle.ts";
import type { GivenOptions } from "./key-options.ts";

/** The scopes of a session, unless the command names others: everything that the console shows and does. */
export const linkScopes: readonly Scope[] = ["list", "read", "send", "approve", "view", "control", "details", "admin"];

/** Reads the options of `console link`. @throws CommandError naming the option that breaks a rule */
export function readConsoleLink(options: GivenOptions): KeyRequest {
  const input = {
    name: "console",
    tenant: options.get("tenant")?.at(-1) ?? "default",
    scopes: [...new Set(options.get("scope") ?? linkScopes)],
  };
  const checked = checkValue(RequestedKeySchema, input, "the link", { firstIssueOnly: true });
  if (checked.ok) return linkRequest(input.tenant, checked.value.scopes);
  const [{ member, rule } = { member: "", rule: "is not valid" }] = checked.issues;
  throw misuse(`--${member.startsWith("scopes") ? "scope" : member} ${rule}`);
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

/** The link. Its secret is in the fragment, which browsers send to no server and leave out of `Referer`. */
export function formatConsoleLink(baseUrl: string, key: string): string {
  return `${baseUrl}/console/#link=${key}`;
}
