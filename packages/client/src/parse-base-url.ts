import { invalidArgument } from "./error.ts";

/**
 * Reads a base URL and returns it without trailing slashes. Its path is kept.
 *
 * @throws LettaEnvironmentsError `invalid_argument` unless it is an absolute http(s) URL without user, query or fragment.
 */
export function parseBaseUrl(text: string): string {
  // The pattern first: a number or an object would be turned into a text.
  if (/^https?:\/\/[^@?#]+$/i.test(text) && URL.canParse(text)) return new URL(text).href.replace(/\/+$/, "");
  throw invalidArgument("baseUrl", "must be an http(s) URL without user, query or fragment");
}
