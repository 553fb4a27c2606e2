/** What requests are told apart by. */
export type RateLimitDimension = "key" | "tenant" | "address" | "route" | "device";

/** A request as limits see it; `null` where it has no such thing, which is a partition of its own. */
export type RateLimitSubject = Readonly<Record<RateLimitDimension, string | null>>;

const letters: Readonly<Record<RateLimitDimension, string>> = {
  key: "k",
  tenant: "t",
  address: "a",
  route: "r",
  device: "d",
};

/**
 * The partition a request belongs to under a policy with these dimensions. No value can be made to look like another combination of
 * values: each part tells its dimension and, unless it is the last, its length. Under a single dimension the value is the key, so
 * that nothing need be built for it.
 */
export function partitionKey(dimensions: readonly RateLimitDimension[], subject: RateLimitSubject): string {
  const [first] = dimensions;
  if (first !== undefined && dimensions.length === 1) return singleKey(subject[first]);
  let key = "=";
  for (let index = 0; index < dimensions.length; index++) {
    const dimension = dimensions[index];
    if (dimension === undefined) continue;
    const value = subject[dimension];
    const letter = letters[dimension];
    if (value === null) key += `${letter}-`;
    else key += index === dimensions.length - 1 ? `${letter}=${value}` : `${letter}${value.length}=${value}`;
  }
  return key;
}

/** A value that begins as the other keys do is marked. */
function singleKey(value: string | null): string {
  if (value === null) return "-";
  return value.startsWith("-") || value.startsWith("=") ? `=${value}` : value;
}
