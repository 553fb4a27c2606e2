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
