/** Header fields as plain data: reading one safely, and removing some. `web/web-message.ts` converts them from and to `Headers`. */
import { splitList } from "./list.ts";

/**
 * Header fields as plain data. Names are lower-case. Several lines of a field are joined by `, ` in their order. The lines of `set-cookie`, which
 * contain commas, are joined by a line feed, which no field value can contain.
 */
export type HeaderRecord = Readonly<Record<string, string>>;

/**
 * Returns the value of a field whose name came from outside, such as from `Vary`; undefined if it is absent. Names like `constructor` are
 * legal field names, so members of the record's prototype are never read.
 */
export function fieldOf(headers: HeaderRecord, name: string): string | undefined {
  return Object.hasOwn(headers, name) ? headers[name] : undefined;
}

/** Copies the record without some of its fields. */
export function withoutFields(headers: HeaderRecord, names: ReadonlySet<string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !names.has(name)));
}

const connectionFields: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Copies the record without connection-specific fields, including those that `Connection` names (RFC 9110, 7.6.1; RFC 9111, 3.1). */
export function withoutConnectionFields(headers: HeaderRecord): Record<string, string> {
  const named = headers["connection"];
  if (named === undefined) return withoutFields(headers, connectionFields);
  return withoutFields(headers, new Set([...connectionFields, ...splitList(named.toLowerCase())]));
}
