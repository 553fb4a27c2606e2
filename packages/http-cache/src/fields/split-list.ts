/**
 * The elements of a comma-separated field value, trimmed, without the empty ones (RFC 9110, 5.6.1). Commas in quoted strings do not
 * separate; a quote that is never closed is an ordinary character, so that it hides nothing that follows it.
 */
export function splitList(value: string): string[] {
  const elements: string[] = [];
  let start = 0;
  for (let index = 0; index <= value.length; index++) {
    if (value.charCodeAt(index) === quote) {
      index = closingQuote(value, index);
    } else if (index === value.length || value.charCodeAt(index) === comma) {
      const element = trimWhitespace(value.slice(start, index));
      if (element !== "") elements.push(element);
      start = index + 1;
    }
  }
  return elements;
}

const quote = 0x22;
const comma = 0x2c;
const backslash = 0x5c;

/** Without spaces and tabs at both ends, which is all that surrounds a value in HTTP. */
export function trimWhitespace(value: string): string {
  let [start, end] = [0, value.length];
  while (start < end && isWhitespace(value.charCodeAt(start))) start++;
  while (end > start && isWhitespace(value.charCodeAt(end - 1))) end--;
  return value.slice(start, end);
}

/** Where the quoted string that starts here ends; its own start when it does not. */
function closingQuote(value: string, start: number): number {
  for (let index = start + 1; index < value.length; index++) {
    const code = value.charCodeAt(index);
    if (code === backslash) index++;
    else if (code === quote) return index;
  }
  return start;
}

function isWhitespace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
