/**
 * Splits a raw query into the token and the rest, which may be logged and forwarded. Several tokens give no valid one: two readers could
 * pick different ones.
 */
export function splitQuery(query: string): { readonly token: string | null; readonly rest: string } {
  if (!query.includes("oken") && !query.includes("%")) return { token: null, rest: query };
  const pairs = query.split("&");
  const isToken = (pair: string): boolean => new URLSearchParams(pair).has("token");
  const tokens = pairs.filter(isToken).map((pair) => new URLSearchParams(pair).get("token") ?? "");
  const rest = pairs.filter((pair) => !isToken(pair)).join("&");
  return { token: tokens.length === 0 ? null : tokens.join(", "), rest };
}
