/**
 * The address by which a client is counted. Behind proxies it comes from `X-Forwarded-For` or `Forwarded` (RFC 7239), but only from
 * the entries that trusted proxies appended: everything to the left of them was sent by the caller and can be forged.
 *
 * Addresses are grouped: an IPv4 address counts on its own, an IPv6 address by its /64, which usually belongs to a single client.
 */
import type { GatewayRequest } from "../http/gateway-request.ts";
import { createBoundedMap } from "../lib/bounded-map.ts";

/** The proxies in front of the gateway that are trusted. */
export interface TrustedProxies {
  /** Number of proxies that append to the header; 0: the peer is the client, and headers are ignored. */
  readonly trustedHops: number;
  /** The header that they append to. The other one may come from the caller, so it is never read. */
  readonly header: "x-forwarded-for" | "forwarded";
}

/**
 * Returns the group of the client's address, see {@link groupAddress}: among the hops `..., client, proxy 1, peer`, the one that
 * the outermost trusted proxy saw. `null` if it is not a valid address; all such clients share one counter.
 */
export function clientAddress(
  request: Pick<GatewayRequest, "clientAddress" | "header">,
  { trustedHops, header }: TrustedProxies,
): string | null {
  if (trustedHops === 0) return groupAddress(request.clientAddress);
  const value = request.header(header);
  const elements = header === "forwarded" ? splitElements(value) : splitList(value);
  // With fewer hops than trusted proxies, all hops come from trusted proxies, and the first is the farthest known one.
  const element = elements[Math.max(0, elements.length - trustedHops)];
  if (element === undefined) return groupAddress(request.clientAddress);
  // Only this one is parsed: the others may come from the caller.
  return groupAddress(stripPort(header === "forwarded" ? readForwarded(element) : element));
}

/**
 * Returns the group that an address is counted in: an IPv4 address, or the /64 of an IPv6 address; `null` for other text. Accepts dotted
 * IPv4 without leading zeros and IPv6 in every form of RFC 4291 section 2.2 (any case, with or without a zone id). An IPv4-mapped IPv6
 * address counts as IPv4.
 */
export function groupAddress(text: string | null): string | null {
  const address = text?.trim() ?? "";
  // The longest address has 45 characters (IPv4-mapped), and a zone id may follow.
  if (address.length > 128) return null;
  const octets = parseIpv4(address);
  if (octets !== null) return octets.join(".");
  const groups = parseIpv6(address);
  if (groups === null) return null;
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped)
    return groups
      .slice(6)
      .flatMap((group) => [group >> 8, group & 255])
      .join(".");
  const prefix = groups.slice(0, 4).map((group) => group.toString(16));
  return `${prefix.join(":")}::/64`;
}

function splitList(value: string | null): readonly string[] {
  // Recipients ignore empty list elements (RFC 9110 section 5.6.1).
  const elements = (value ?? "").split(",").map((element) => element.trim());
  return elements.filter((element) => element !== "");
}

/** Returns `for` of an element; an empty string if it has no valid one. */
function readForwarded(element: string): string {
  const [, quoted, plain] = elementPattern.exec(element) ?? [];
  return (quoted ?? plain ?? "").replaceAll(/\\(.)/g, "$1");
}

/**
 * Matches a whole element (RFC 7239 section 4): pairs of a name and a token or a quoted string, one of them `for`. It can match a text in only
 * one way, so it runs in linear time: white space belongs to the `;` after it, or to the end.
 */
const pair = String.raw`[\w!#$%&'*+.^\x60|~-]+=(?:"(?:[^"\\]|\\.)*"|[^",;\s]*)`;
const elementPattern = new RegExp(
  String.raw`^\s*(?:(?!for=)${pair}\s*;\s*)*for=(?:"((?:[^"\\]|\\.)*)"|([^",;\s]*))(?:\s*;\s*${pair})*(?:\s*;)?\s*$`,
  "i",
);

/**
 * Splits at commas outside of quoted strings. It reads from the end, which trusted proxies wrote: otherwise a quote that a caller leaves
 * open would swallow their elements.
 */
function splitElements(value: string | null): readonly string[] {
  const elements: string[] = [];
  let element: string | null = null;
  let isQuoted = false;
  for (const piece of (value ?? "").split(",").toReversed()) {
    element = element === null ? piece : `${piece},${element}`;
    const quotes = piece.replaceAll(/\\./g, "").split('"').length - 1;
    if (quotes % 2 === 1) isQuoted = !isQuoted;
    if (isQuoted) continue;
    if (element.trim() !== "") elements.push(element);
    element = null;
  }
  if (element !== null) elements.push(element);
  return elements.toReversed();
}

/** Removes brackets and port: `[2001:db8::1]:4711`, `[2001:db8::1]`, `192.0.2.1:4711`. */
function stripPort(text: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text);
  if (bracketed !== null) return bracketed[1] ?? "";
  return /^[\d.]+:\d{1,5}$/.test(text) ? text.slice(0, text.indexOf(":")) : text;
}

function parseIpv4(text: string): readonly number[] | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return null;
  const parts = match.slice(1);
  // A leading zero is ambiguous, because some programs read it as octal.
  if (parts.some((part) => part.length > 1 && part.startsWith("0"))) return null;
  const octets = parts.map(Number);
  return octets.every((octet) => octet <= 255) ? octets : null;
}

/** The URL parser validates and normalises the address (RFC 5952). */
function parseIpv6(text: string): readonly number[] | null {
  const [, address] = /^([0-9a-f:.]+)(?:%.+)?$/is.exec(text) ?? [];
  const host = address === undefined ? undefined : URL.parse(`http://[${address}]`)?.hostname;
  if (host === undefined) return null;
  const [head = [], tail = []] = host.slice(1, -1).split("::").map(readGroups);
  return [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0), ...tail];
}

function readGroups(text: string): readonly number[] {
  return text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
}

/** Peers whose group is remembered, because a connection usually sends many requests. */
const maxRememberedPeers = 10_000;

/** Returns a function that returns the {@link clientAddress} of a request. */
export function createAddressOf(trustedProxies: TrustedProxies): (request: GatewayRequest) => string | null {
  const groups = createBoundedMap<string | null>(maxRememberedPeers);
  if (trustedProxies.trustedHops > 0) return (request) => clientAddress(request, trustedProxies);
  return ({ clientAddress: peer }) => (peer === null ? null : groups.getOrCreate(peer, groupAddress));
}
