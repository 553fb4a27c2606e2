/**
 * Path of the first part of a value for which a predicate says no: `messages[0].role`; `""` for the whole, `null` when all fits. A value that
 * fits costs the predicate alone. One that does not is judged once more, part by part as it is read: what was read last is what did not fit.
 *
 * @param fits reads members in the order in which they count, and stops at the first that does not fit
 */
export function findMismatch(fits: (value: unknown) => boolean, value: unknown): string | null {
  if (fits(value)) return null;
  let path = "";
  function watch(part: unknown, at: string): unknown {
    if (typeof part !== "object" || part === null) return part;
    const isArray = Array.isArray(part);
    // A copy, since the members of a frozen object could not be watched in their turn.
    return new Proxy<object>(isArray ? [...part] : { ...part }, {
      get(target, name) {
        const text = String(name);
        // What arrays have beside their items tells of the array itself.
        path = !isArray ? `${at}.${text}` : /\D/.test(text) ? at : `${at}[${text}]`;
        return watch(Reflect.get(target, name), path);
      },
    });
  }
  fits(watch(value, ""));
  return path.slice(1);
}
