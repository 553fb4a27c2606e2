/**
 * Hosts of URLs and addresses: whether they are this machine, and how to write and reach them. Only loopback may carry secrets without TLS.
 * Of all names only `localhost` counts, because any other can resolve to any address.
 */

const loopbackHost = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** Whether the host of a URL, or of a `Host` field in lower case, is this machine. */
export function isLoopbackHost(host: string): boolean {
  return loopbackHost.test(host);
}

/** Returns an address as the host of a URL: IPv6 in brackets. */
export function urlHost(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

/** Returns an address without the brackets that it has in a URL. */
export function plainAddress(host: string): string {
  return host.replace(/^\[(.+)\]$/, "$1");
}

const hostText = /^(?:[\p{L}\p{N}_][\p{L}\p{M}\p{N}._-]*|(?=[^:]*:)[\da-f:.]+(?:%[\w.-]+)?)$/iu;

/** The rule of {@link isListenHost}, for error texts. */
export const listenHostRule: string =
  "must be an IP address or a host name, without a scheme or a port; unix sockets are not supported";

/** Whether a text is an address, which may have a zone but no brackets, or a name. Whether this machine has it, only a start can find out. */
export function isListenHost(text: string): boolean {
  return hostText.test(text) && URL.canParse(`http://${urlHost(text.replace(/%.*$/, ""))}`);
}

/** Whether an address stands for all addresses of this machine. */
export function isWildcard(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}

/** Returns the URL host by which this machine reaches a server that listens on an address. Nothing can connect to a wildcard address. */
export function reachableHost(address: string): string {
  if (address === "0.0.0.0") return "127.0.0.1";
  return urlHost(address === "::" ? "::1" : address);
}
