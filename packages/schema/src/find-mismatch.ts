/**
 * Path of the first part of a value for which a predicate says no: `messages[0].role`; `""` for the whole, `null` when all fits. A value that
 * fits costs the predicate alone. One that does not is judged once more, part by part as it is read: what was read last is what did not fit.
 *
 * @param fits reads members in the order in which they count, and stops at the first that does not fit
 */
export function findMismatch(fits: (value: unknown) => boolean, value: unknown): string | null {
  if (fits(value)) return null;
  let path = "";
  // A copy, since the members of a frozen object could not be watched in their turn.
  const watch = (part: unknown, at: string): unknown =>
    typeof part === "object" && part
      ? new Proxy<object>(Array.isArray(part) ? [...part] : { ...part }, {
          get(target: Readonly<Record<string, unknown>>, name: string) {
            // What arrays have beside their items tells of the array itself.
            path = !Array.isArray(target) ? `${at}.${name}` : /\D/.test(name) ? at : `${at}[${name}]`;
            return watch(target[name], path);
          },
        })
      : part;
  fits(watch(value, ""));
  return path.slice(1);
}
