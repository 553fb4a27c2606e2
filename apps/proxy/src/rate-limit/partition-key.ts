/** What requests are told apart by. */
export type RateLimitDimension = "key" | "tenant" | "address" | "route" | "device";

/** A request as limits see it; `null` where it has no such thing, which is a partition of its own. */
export type DimensionValues = Readonly<Record<RateLimitDimension, string | null>>;

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
export function partitionKey(dimensions: readonly RateLimitDimension[], subject: DimensionValues): string {
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

/** Keys by the values of their dimensions, one after the other. */
type Keys = Map<string | null, Keys | string>;

/** Keys that are remembered; beyond that all are built anew. */
const maxRemembered = 10_000;

/**
 * `partitionKey` for these dimensions, which remembers what it built: making and hashing a text of several parts costs more than
 * the limits themselves.
 */
export function createPartitionKeys(dimensions: readonly RateLimitDimension[]): (subject: DimensionValues) => string {
  const leading = dimensions.slice(0, -1);
  const last = dimensions.at(-1);
  if (last === undefined || leading.length === 0) return (subject) => partitionKey(dimensions, subject);
  let root: Keys = new Map();
  let remembered = 0;

  function remember(keys: Keys, value: string | null, key: string): string {
    remembered += 1;
    if (remembered > maxRemembered) {
      root = new Map();
      remembered = 0;
    } else {
      keys.set(value, key);
    }
    return key;
  }

  return (subject) => {
    let keys = root;
    for (const dimension of leading) {
      const value = subject[dimension];
      let next = keys.get(value);
      if (next === undefined || typeof next === "string") {
        next = new Map();
        keys.set(value, next);
      }
      keys = next;
    }
    const value = subject[last];
    const known = keys.get(value);
    return typeof known === "string" ? known : remember(keys, value, partitionKey(dimensions, subject));
  };
}
