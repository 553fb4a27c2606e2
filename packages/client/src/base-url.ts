import { invalidArgument } from "./error.ts";

/** Where requests go. */
export interface BaseUrl {
  readonly origin: string;
  /** Path below which the API lies, without a trailing slash; usually empty. */
  readonly basePath: string;
}

/**
 * Reads a base URL. Its path is kept.
 *
 * @throws LettaEnvironmentsError `invalid_argument` unless it is an absolute http(s) URL without user, query or fragment.
 */
export function parseBaseUrl(text: string): BaseUrl {
  const url = parse(text);
  const usable =
    url !== null &&
    (url.protocol === "https:" || url.protocol === "http:") &&
    url.username === "" &&
    url.password === "" &&
    !/[?#]/.test(text);
  if (!usable) {
    throw invalidArgument([
      { member: "baseUrl", rule: "must be an absolute http or https URL without user, query or fragment" },
    ]);
  }
  return { origin: url.origin, basePath: url.pathname.replace(/\/+$/, "") };
}

/** The URL of a request. @throws LettaEnvironmentsError `invalid_argument` when it would lead to another path. */
export function buildUrl(base: BaseUrl, path: string, query: Readonly<Record<string, string>>): string {
  const url = parse(base.origin + base.basePath + path);
  if (url === null || url.origin !== base.origin || url.pathname !== base.basePath + path) {
    throw invalidArgument([{ member: "path", rule: "must be a plain pathname" }]);
  }
  // Percent encoding for spaces, as the official SDKs do: a plus sign is not a space in every server.
  url.search = new URLSearchParams({ ...query }).toString().replaceAll("+", "%20");
  return url.href;
}

function parse(text: unknown): URL | null {
  try {
    return typeof text === "string" ? new URL(text) : null;
  } catch {
    return null;
  }
}
