/** Finds what ids of events say about their order. */

/**
 * Returns the places of the parts of ids that never become smaller from one id to the next, as a number or a constant would be. In a dozen
 * random ids, no part is like this by chance.
 */
export function findCounters(ids: readonly string[]): readonly [from: number, to: number][] {
  const found: [from: number, to: number][] = [];
  const length = Math.max(...ids.map((id) => id.length));
  for (let from = 0; from < length; from += 1) {
    for (let to = from + 1; to <= length; to += 1) {
      const parts = ids.map((id) => id.slice(from, to));
      if (parts.every((part, index) => index === 0 || part >= (parts[index - 1] ?? ""))) found.push([from, to]);
    }
  }
  return found;
}
