/**
 * Splits a request target (RFC 9112 section 3.2) into raw path and raw query. Of the absolute form only these two are used:
 * its host is whatever the caller wrote.
 */
export function requestTarget(target: string): { readonly path: string; readonly query: string } {
  const origin = target.replace(/^https?:\/\/[^/?#]*/i, "");
  const end = origin.indexOf("?");
  const path = end === -1 ? origin : origin.slice(0, end);
  return { path: path === "" ? "/" : path, query: end === -1 ? "" : origin.slice(end + 1) };
}
