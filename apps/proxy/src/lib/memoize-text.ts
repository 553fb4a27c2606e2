/** The result for a shorter text is computed each time: that costs less than remembering it. Lengths in characters. */
const minLength = 2_048;
const maxLength = 262_144;
const maxTotalLength = 1_048_576;

/**
 * Wraps a pure function of a text, so that the result for a long text is computed once while callers use it. At high rates, most lists of an upstream
 * equal the previous one. Only the last text of each length is kept, so a list whose heartbeats change replaces its predecessor. Results are shared:
 * callers must not change them.
 */
export function memoizeRecent<Value>(compute: (text: string) => Value): (text: string) => Value {
  const recent = new Map<number, { readonly text: string; readonly value: Value }>();
  let totalLength = 0;

  function remember(text: string, value: Value): void {
    // Deleted first, so that it moves to the end of the map, where the newest are.
    if (!recent.delete(text.length)) totalLength += text.length;
    recent.set(text.length, { text, value });
    for (const oldest of recent.keys()) {
      if (totalLength <= maxTotalLength) return;
      recent.delete(oldest);
      totalLength -= oldest;
    }
  }

  return (text) => {
    if (text.length < minLength || text.length > maxLength) return compute(text);
    const known = recent.get(text.length);
    if (known?.text === text) return known.value;
    const value = compute(text);
    remember(text, value);
    return value;
  };
}
