type Fields = Readonly<Record<string, string>>;

/** Fields of a request: of two whose names differ in nothing but case, the later one counts (RFC 9110 section 5.1), so that none is sent twice. */
export function joinHeaders(...given: readonly (Fields | undefined)[]): Fields {
  return Object.fromEntries(
    given.flatMap((fields = {}) => Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value] as const)),
  );
}
