/** A range of bytes, both ends included. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/**
 * What a `Range` asks of a body (RFC 9110, 14.1.2): one range, `unsatisfiable`, or `null` when the whole body is to be sent, which is right
 * for a malformed field, another unit and several ranges.
 */
export function parseRange(value: string, length: number): ByteRange | "unsatisfiable" | null {
  const match = /^bytes=[\t ]*([0-9]*)-([0-9]*)[\t ]*$/i.exec(value);
  if (match === null) return null;
  const [, from = "", to = ""] = match;
  if (from === "") {
    if (to === "") return null;
    const suffix = Number(to);
    return suffix === 0 || length === 0 ? "unsatisfiable" : { first: Math.max(0, length - suffix), last: length - 1 };
  }
  const [first, last] = [Number(from), to === "" ? length - 1 : Number(to)];
  if (to !== "" && last < first) return null;
  return first >= length ? "unsatisfiable" : { first, last: Math.min(last, length - 1) };
}
