import type { AdminFile } from "./config-file.ts";
import type { AdminSettings } from "../admin/settings.ts";
import type { SettingProblem } from "../lib/setting-problem.ts";

/** Shortest token of an operator, in characters. */
const minTokenLength = 32;

/** What can be sent as a Bearer token (RFC 6750 section 2.1). */
const tokenPattern = /^[A-Za-z0-9._~+/-]+=*$/;

/** What a token must be, in words. */
export const tokenRule: string = `at least ${minTokenLength} of A-Z a-z 0-9 . _ ~ + / -`;

/** Whether a text can be an operator's token: long enough not to be guessed, and such as can be sent. */
export function isOperatorTokenText(text: string): boolean {
  return text.length >= minTokenLength && tokenPattern.test(text);
}

/** Resolves `admin` with the token that the environment holds. */
export function resolveAdmin(
  { host = "127.0.0.1", port, allowRemote = false, hostnames = [] }: AdminFile,
  token: string | undefined,
): { readonly settings: AdminSettings; readonly problems: readonly SettingProblem[] } {
  const problems: SettingProblem[] = [];
  if (!isLoopback(host) && !allowRemote) {
    const rule = "must be an address of loopback, or needs admin.allowRemote: whoever reaches it may try a token";
    problems.push({ setting: "admin.host", rule });
  }
  if (token === undefined || !isOperatorTokenText(token)) {
    problems.push({
      setting: "ADMIN_TOKEN",
      rule: `must hold the operator's token where admin.port is set: ${tokenRule}`,
    });
  }
  // The listener can be called by the name that it was told to listen on.
  return { settings: { host, port, hostnames: [host, ...hostnames], token: token ?? "" }, problems };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(?:\.[0-9]{1,3}){3}$/.test(host);
}
