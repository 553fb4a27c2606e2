import type { Endpoint } from "./endpoints.ts";
import { identifierRule, isIdentifier } from "./is-identifier.ts";

/**
 * Fills an endpoint's path template. The result is asserted to be what a URL parser makes of it, so that no id can lead to
 * another path.
 *
 * @throws RangeError when an id is missing or not an identifier.
 */
export function buildPath(
  endpoint: Pick<Endpoint, "path" | "params">,
  params: Readonly<Record<string, string>> = {},
): string {
  let path = endpoint.path;
  for (const name of endpoint.params) {
    const value = params[name];
    if (value === undefined || !isIdentifier(value)) throw new RangeError(`${name} must be ${identifierRule}`);
    path = path.replace(`{${name}}`, () => encodeURIComponent(value));
  }
  if (new URL(path, "http://localhost").pathname !== path)
    throw new RangeError("the path would be read as another path");
  return path;
}
