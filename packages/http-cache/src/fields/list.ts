/** The syntax that many fields share: lists, tokens, and a memo for parsers. Dictionaries and items are in `structured-field.ts`. */

/**
 * Splits a comma-separated field value into trimmed elements, without the empty ones (RFC 9110, 5.6.1). Commas in quoted strings do not
 * separate. A quote that is never closed is an ordinary character, so it cannot hide the elements after it.
 */
export function splitList(value: string): string[] {
  return splitElements(value).filter((element) => element !== "");
}

/** Splits a field value like {@link splitList}, but keeps empty elements. */
export function splitElements(value: string): string[] {
  const elements: string[] = [];
  let start = 0;
  let mayClose = true;
  for (let index = 0; index <= value.length; index++) {
    if (mayClose && value.charCodeAt(index) === quote) {
      const end = closingQuote(value, index);
      // All later quotes are escaped quotes of this string, so none of them closes it either. Searching again would take quadratic time.
      if (end === null) mayClose = false;
      else index = end;
    } else if (index === value.length || value.charCodeAt(index) === comma) {
      elements.push(trimWhitespace(value.slice(start, index)));
      start = index + 1;
    }
  }
  return elements;
}

/** True for a token, such as the name of a field (RFC 9110, 5.6.2). */
export function isToken(text: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9a-z]+$/i.test(text);
}

const quote = 0x22;
const comma = 0x2c;
const backslash = 0x5c;

/** Removes spaces and tabs at both ends: the only white space around HTTP values. */
function trimWhitespace(value: string): string {
  let [start, end] = [0, value.length];
  while (start < end && isWhitespace(value.charCodeAt(start))) start++;
  while (end > start && isWhitespace(value.charCodeAt(end - 1))) end--;
  return value.slice(start, end);
}

/** The end of the quoted string that starts here; `null` if it is never closed. */
function closingQuote(value: string, start: number): number | null {
  for (let index = start + 1; index < value.length; index++) {
    const code = value.charCodeAt(index);
    if (code === backslash) index++;
    else if (code === quote) return index;
  }
  return null;
}

function isWhitespace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

const maximumTexts = 512;
const maximumLength = 256;

/**
 * Memoises a pure function for short texts. Clients send few different field values, again and again. When there are too many, the memo is
 * cleared, so its size is bounded whatever clients send.
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
