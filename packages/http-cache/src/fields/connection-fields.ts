import { type HeaderRecord, withoutFields } from "./header-record.ts";
import { splitList } from "./split-list.ts";

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

/** The fields without those that belong to one connection: the known ones, and those that `Connection` names (RFC 9110, 7.6.1; 9111, 3.1). */
export function withoutConnectionFields(headers: HeaderRecord): Record<string, string> {
  const named = headers["connection"];
  if (named === undefined) return withoutFields(headers, connectionFields);
  return withoutFields(headers, new Set([...connectionFields, ...splitList(named.toLowerCase())]));
}
