const maximumTexts = 512;
const maximumLength = 256;

/**
 * The same pure function, with its results for short texts kept. Clients send few different values, again and again; when there are too many
 * it starts again, so the memory is bounded whatever they send.
 */
export function remember<Result>(compute: (text: string) => Result): (text: string) => Result {
  const known = new Map<string, { readonly result: Result }>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found.result;
    const result = compute(text);
    if (text.length > maximumLength) return result;
    if (known.size >= maximumTexts) known.clear();
    known.set(text, { result });
    return result;
  };
}
