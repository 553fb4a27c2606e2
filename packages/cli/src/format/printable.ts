// A joiner inside an emoji is part of a picture; anywhere else it hides.
const hidden =
  /(?!(?<=\p{Extended_Pictographic}(?:\ufe0f|\p{Emoji_Modifier})?)\u200d(?=\p{Extended_Pictographic}))[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/**
 * A text as a terminal may show it: control and format characters, line separators and unpaired surrogates, which move the
 * cursor, hide text or turn its direction, are written as in a JSON string.
 */
export function printable(text: string): string {
  return text.replaceAll(hidden, escaped);
}

function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, index) => {
    const unit = character.charCodeAt(index).toString(16).padStart(4, "0");
    return `\\u${unit}`;
  }).join("");
}
