/** Gives equal texts as one object, so that a thousand answers of one type hold their type once. */
export type Intern = (text: string) => string;

/** Creates an {@link Intern} that remembers up to a number of short texts and then starts again. */
export function createInterner(maximumTexts = 4_096, maximumLength = 128): Intern {
  const known = new Map<string, string>();
  return (text) => {
    if (text.length > maximumLength) return text;
    const same = known.get(text);
    if (same !== undefined) return same;
    if (known.size >= maximumTexts) known.clear();
    known.set(text, text);
    return text;
  };
}
