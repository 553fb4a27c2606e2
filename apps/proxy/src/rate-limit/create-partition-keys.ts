import { partitionKey, type RateLimitDimension, type RateLimitSubject } from "./partition-key.ts";

/** Keys by the values of their dimensions, one after the other. */
type Keys = Map<string | null, Keys | string>;

/** Keys that are remembered; beyond that all are built anew. */
const maxRemembered = 10_000;

/**
 * `partitionKey` for these dimensions, which remembers what it built: making and hashing a text of several parts costs more than
 * the limits themselves.
 */
export function createPartitionKeys(dimensions: readonly RateLimitDimension[]): (subject: RateLimitSubject) => string {
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
