/** Rules of settings: problems, names of tenants, and hosts. */
import { isIdentifier } from "@letta-environments/schema";

/** A setting that breaks a rule. It does not contain the value, which may be a secret. */
export interface SettingProblem {
  /** The source of the setting: `--port`, `PORT`, or the member of the file, such as `upstream.url`. */
  readonly setting: string;
  readonly rule: string;
}

/** The prefix of the tenants of callers that send their own upstream key. No other tenant may start with it. */
export const passThroughTenantPrefix = "passthrough:";

/** The rule for tenant names, for error messages. */
export const tenantRule: string = `must be an id that does not start with '${passThroughTenantPrefix}'`;

/** Returns whether a text can be the name of a tenant. */
export function isTenantName(name: string): boolean {
  return isIdentifier(name) && !name.startsWith(passThroughTenantPrefix);
}

const loopbackHost = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** Whether the host of a URL, or of a `Host` field in lower case, is this machine. */
export function isLoopbackHost(host: string): boolean {
  return loopbackHost.test(host);
}

/** Returns an address as the host of a URL: IPv6 in brackets. */
export function urlHost(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

/** Returns the host of a URL by which this machine reaches what listens on an address. Nothing can connect to a wildcard address. */
export function reachableHost(address: string): string {
  if (address === "0.0.0.0") return "127.0.0.1";
  return urlHost(address === "::" ? "::1" : address);
}
