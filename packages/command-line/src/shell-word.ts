/** Words for commands that people paste into a shell. Devices, callers and servers choose some of them. */

/**
 * Quotes a text so that sh, bash, zsh and fish read it as one word. A word that begins with a dash still needs `--` or `--option=` before it.
 * A text that `printable` changes cannot be printed as a word at all.
 */
export function quoteForShell(text: string): string {
  // zsh replaces `=ls` by a path, at the start of a word and, with an option of its own, after `=` and `:`.
  // fish replaces `%self`.
  if (/^(?!%)([\w-]+=)?[\w./:@%+,-]+$/.test(text)) return text;
  // Between single quotes a backslash means itself, but not in fish.
  return `'${text.replaceAll(/['\\]/g, "'\\$&'")}'`;
}
