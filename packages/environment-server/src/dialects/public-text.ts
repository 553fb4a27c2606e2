const maxTextLength = 500;

/** Makes a device's text safe to return: no control characters, limited length; `null` when nothing is left. */
export function toPublicText(text: string): string | null {
  const shown = text
    .slice(0, maxTextLength)
    .replaceAll(/\p{Cc}+/gu, " ")
    .trim();
  return shown === "" ? null : shown;
}
