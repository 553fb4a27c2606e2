import type { GatewayRequest } from "../http/gateway-request.ts";
import { createBoundedMap } from "../lib/bounded-map.ts";

/** Where a request came from, as far as anybody says. */
export interface ClientAddressSources {
  /** Address of the peer of the connection; `null` when unknown. */
  readonly peer: string | null;
  /** `X-Forwarded-For` as received (fields joined by commas); `null` when absent. */
  readonly xForwardedFor: string | null;
  /** `Forwarded` (RFC 7239) as received; `null` when absent. */
  readonly forwarded: string | null;
}

/** Which proxies in front of the gateway are believed. */
export interface TrustedProxies {
  /** How many of them append to the header; 0: the peer is the client, and headers are not looked at. */
  readonly trustedHops: number;
  /** The one header that they append to. The other one is whatever a caller sent, so it is never read. */
  readonly header: "x-forwarded-for" | "forwarded";
}

/**
 * The address by which a client is counted: of the hops `..., client, proxy 1, peer` the one that the outermost trusted proxy
 * saw. What a caller writes into the header stands left of that and is ignored. IPv4 stands for itself (also when it comes mapped
 * into IPv6), IPv6 for its /64. `null` when there is no readable address: all of those are one bucket.
 */
export function clientAddress(sources: ClientAddressSources, { trustedHops, header }: TrustedProxies): string | null {
  if (trustedHops === 0) return groupAddress(sources.peer);
  const named = header === "forwarded" ? readForwarded(sources.forwarded) : readList(sources.xForwardedFor);
  const hops = [...named, sources.peer];
  // With fewer hops than trusted proxies all of them were written by trusted ones; the first is the farthest that is known.
  return groupAddress(hops[Math.max(0, hops.length - 1 - trustedHops)] ?? null);
}

/** The group of addresses that is counted as one: an IPv4 address, or the /64 of an IPv6 address; `null` for anything else. */
export function groupAddress(text: string | null): string | null {
  const address = text === null ? null : parseAddress(text.trim());
  if (address === null) return null;
  if (address.version === 4) return address.octets.join(".");
  return `${address.groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(":")}::/64`;
}

function readList(value: string | null): readonly string[] {
  // Empty elements of a list do not count (RFC 9110 section 5.6.1).
  const elements = (value ?? "").split(",").map((element) => element.trim());
  return elements.filter((element) => element !== "").map(stripPort);
}

/** The `for` of each element; an element without a readable one stays in its place, as an empty text. */
function readForwarded(value: string | null): readonly string[] {
  return splitElements(value ?? "").map((element) => {
    const [, quoted, plain] = elementPattern.exec(element) ?? [];
    return stripPort((quoted ?? plain ?? "").replaceAll(/\\(.)/g, "$1"));
  });
}

/** A whole element of RFC 7239 section 4: pairs of a name and a token or a quoted string, of which one is `for`. */
const pair = String.raw`[\w!#$%&'*+.^\x60|~-]+=(?:"(?:[^"\\]|\\.)*"|[^",;\s]*)`;
const elementPattern = new RegExp(
  String.raw`^\s*(?:(?!for=)${pair}\s*;\s*)*for=(?:"((?:[^"\\]|\\.)*)"|([^",;\s]*))(?:\s*;\s*${pair})*\s*;?\s*$`,
  "i",
);

/**
 * Elements between the commas that are in no quoted string. Read from the end, because the end is what trusted proxies wrote: a quote
 * that a caller leaves open would else reach into it.
 */
function splitElements(value: string): readonly string[] {
  const elements: string[] = [];
  let element: string | null = null;
  let isQuoted = false;
  for (const piece of value.split(",").toReversed()) {
    element = element === null ? piece : `${piece},${element}`;
    const quotes = piece.replaceAll(/\\./g, "").split('"').length - 1;
    isQuoted = quotes % 2 === 1 ? !isQuoted : isQuoted;
    if (isQuoted) continue;
    if (element.trim() !== "") elements.push(element);
    element = null;
  }
  if (element !== null) elements.push(element);
  return elements.toReversed();
}

/** `[2001:db8::1]:4711`, `[2001:db8::1]` and `192.0.2.1:4711` without brackets and port. */
function stripPort(text: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text);
  if (bracketed !== null) return bracketed[1] ?? "";
  return /^[\d.]+:\d{1,5}$/.test(text) ? text.slice(0, text.indexOf(":")) : text;
}

/** An address as its parts: four octets, or eight groups of 16 bits. */
export type ParsedAddress =
  | { readonly version: 4; readonly octets: readonly number[] }
  | { readonly version: 6; readonly groups: readonly number[] };

/**
 * Reads an IP address: dotted IPv4 without leading zeros, IPv6 in every form of RFC 4291 section 2.2 (any case, with or without zone
 * id). An IPv4-mapped IPv6 address is the IPv4 address. `null` for everything else.
 */
export function parseAddress(text: string): ParsedAddress | null {
  // The longest address in text is an IPv4-mapped one of 45 characters; a zone id may follow.
  if (text.length > 128) return null;
  const octets = parseIpv4(text);
  if (octets !== null) return { version: 4, octets };
  const groups = parseIpv6(text);
  if (groups === null) return null;
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  return mapped
    ? { version: 4, octets: groups.slice(6).flatMap((group) => [group >> 8, group & 255]) }
    : { version: 6, groups };
}

function parseIpv4(text: string): readonly number[] | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return null;
  const parts = match.slice(1);
  // Some programs read a leading zero as octal: which address is meant cannot be told.
  if (parts.some((part) => part.length > 1 && part.startsWith("0"))) return null;
  const octets = parts.map(Number);
  return octets.every((octet) => octet <= 255) ? octets : null;
}

/** Which texts are addresses is the URL parser's to tell, which writes them in one form (RFC 5952). */
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

/** Peers whose group is remembered: a connection asks many times. */
const maxRememberedPeers = 10_000;

/** Creates what tells the address by which the caller of a request is counted ({@link clientAddress}). */
export function createAddressOf(trustedProxies: TrustedProxies): (request: GatewayRequest) => string | null {
  const groups = createBoundedMap<string | null>(maxRememberedPeers);
  if (trustedProxies.trustedHops > 0) {
    return (request) =>
      clientAddress(
        {
          peer: request.clientAddress,
          xForwardedFor: request.header("x-forwarded-for"),
          forwarded: request.header("forwarded"),
        },
        trustedProxies,
      );
  }
  return ({ clientAddress: peer }) => {
    if (peer === null) return null;
    let group = groups.get(peer);
    if (group === undefined) {
      group = groupAddress(peer);
      groups.set(peer, group);
    }
    return group;
  };
}
