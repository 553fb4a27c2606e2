/**
 * Several texts as one key. Each is preceded by its length, so that two different lists never give the same key, whatever the texts
 * hold.
 */
export function encodeKey(parts: readonly string[]): string {
  let key = "";
  for (const part of parts) key += `${part.length}:${part}`;
  return key;
}
