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

function parseIpv6(text: string): readonly number[] | null {
  const zone = text.indexOf("%");
  if (zone === text.length - 1 && zone !== -1) return null;
  const halves = (zone === -1 ? text : text.slice(0, zone)).split("::");
  if (halves.length > 2) return null;
  const isCompressed = halves.length === 2;
  const head = readGroups(halves[0] ?? "", !isCompressed);
  const tail = readGroups(halves[1] ?? "", true);
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (isCompressed ? missing < 1 : missing !== 0) return null;
  return [...head, ...Array.from({ length: missing }, () => 0), ...tail];
}

/** Groups between colons; the last ones may be written as an IPv4 address where `mayEndDotted`. */
function readGroups(text: string, mayEndDotted: boolean): readonly number[] | null {
  if (text === "") return [];
  const parts = text.split(":");
  const last = parts.at(-1) ?? "";
  const octets = mayEndDotted ? parseIpv4(last) : null;
  const hex = octets === null ? parts : parts.slice(0, -1);
  if (hex.some((part) => !/^[0-9a-f]{1,4}$/i.test(part))) return null;
  const groups = hex.map((part) => Number.parseInt(part, 16));
  if (octets === null) return groups;
  const [first = 0, second = 0, third = 0, fourth = 0] = octets;
  return [...groups, first * 256 + second, third * 256 + fourth];
}
