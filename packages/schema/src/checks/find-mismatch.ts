/**
 * Returns the path of the first member that makes a guard return false, such as `messages[0].role`; `""` for the whole value,
 * and `null` if the guard accepts it. An accepted value costs only one call of the guard. A rejected value is checked a second
 * time through a proxy that records what the guard reads: the last member it read is the one that it rejected.
 *
 * @param isValid Guard that reads members in the order of the schema and stops at the first one that does not match.
 */
export function findMismatch(isValid: (value: unknown) => boolean, value: unknown): string | null {
  if (isValid(value)) return null;
  let path = "";
  // Copies, because a proxy must return the members of a frozen object unchanged.
  const watch = (part: unknown, at: string): unknown =>
    typeof part === "object" && part
      ? new Proxy<object>(Array.isArray(part) ? [...part] : { ...part }, {
          get(target: Readonly<Record<string, unknown>>, name: string) {
            // Members of an array other than its items, such as `length`, belong to the array itself.
            path = !Array.isArray(target) ? `${at}.${name}` : /\D/.test(name) ? at : `${at}[${name}]`;
            return watch(target[name], path);
          },
        })
      : part;
  isValid(watch(value, ""));
  return path.slice(1);
}
