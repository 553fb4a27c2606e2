/** `console link`: its options, and the link that it prints. */
import type { Scope } from "@letta-environments/schema";
import { RequestedKeySchema } from "../keys/key-schemas.ts";
import type { KeyRequest } from "../keys/key-lifecycle.ts";
import { checkKey, type GivenOptions } from "./key-options.ts";

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

/** The link. Its secret is in the fragment, which browsers send to no server and leave out of `Referer`. */
export function formatConsoleLink(baseUrl: string, key: string): string {
  return `${baseUrl}/console/#link=${key}`;
}
