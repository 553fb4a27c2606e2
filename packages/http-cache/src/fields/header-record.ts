/**
 * Header fields as plain data. Names are lower-case. The lines of a field are joined by `, ` in their order; those of `set-cookie`,
 * which holds commas of its own, by a line feed, which no field value can hold.
 */
export type HeaderRecord = Readonly<Record<string, string>>;

/**
 * The value of a field that somebody else named, such as one from `Vary`; undefined when it is absent. Names like `constructor` are
 * legal field names, so members of the record's prototype are never read.
 */
export function fieldOf(headers: HeaderRecord, name: string): string | undefined {
  return Object.hasOwn(headers, name) ? headers[name] : undefined;
}

/** The record without some of its fields. */
export function withoutFields(headers: HeaderRecord, names: ReadonlySet<string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !names.has(name)));
}
