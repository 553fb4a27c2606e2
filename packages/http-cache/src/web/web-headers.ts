import type { HeaderRecord } from "../fields/header-record.ts";

/** The fields of a `Headers` as plain data. */
export function toHeaderRecord(headers: Headers): HeaderRecord {
  const cookies = headers.getSetCookie();
  const fields = Object.fromEntries(headers);
  return cookies.length === 0 ? fields : { ...fields, "set-cookie": cookies.join("\n") };
}

/** Plain fields as a `Headers`. */
export function toHeaders(record: HeaderRecord): Headers {
  const { "set-cookie": cookies, ...fields } = record;
  const headers = new Headers(fields);
  for (const cookie of cookies?.split("\n") ?? []) headers.append("set-cookie", cookie);
  return headers;
}
