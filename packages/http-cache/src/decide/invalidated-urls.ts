import type { HeaderRecord } from "../fields/header-record.ts";

const safeMethods: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "OPTIONS",
  "TRACE",
  "QUERY",
  "PROPFIND",
  "REPORT",
  "SEARCH",
]);

/** True for a method that may change what it is sent to, every unknown one included (RFC 9110, 9.2.1). */
export function isUnsafe(method: string): boolean {
  return !safeMethods.has(method);
}

/**
 * What an answer to an unsafe request makes outdated (RFC 9111, 4.4): the target, and what `Location` and `Content-Location` name at the
 * same origin. An error changes nothing.
 */
export function invalidatedUrls(url: string, status: number, headers: HeaderRecord): readonly string[] {
  if (status < 200 || status > 399) return [];
  const { origin } = new URL(url);
  const named = [headers["location"], headers["content-location"]].flatMap((location) => {
    if (location === undefined || !URL.canParse(location, url)) return [];
    const target = new URL(location, url);
    return target.origin === origin ? [target.href] : [];
  });
  return [...new Set([url, ...named])];
}
