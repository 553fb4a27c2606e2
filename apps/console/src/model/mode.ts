/** Permission modes in words. */

/** The modes that the console offers, from the strictest. */
export const modes = ["standard", "acceptEdits", "unrestricted"] as const;

const words: Readonly<Record<string, string>> = {
  default: "standard",
  standard: "standard",
  acceptEdits: "accept edits",
  bypassPermissions: "unrestricted",
  unrestricted: "unrestricted",
};

/** The mode for people. A mode that is newer than the console keeps its name. */
export function modeText(mode: string | undefined): string {
  return mode === undefined ? "" : (words[mode] ?? mode);
}

/** Whether a device in this mode runs every tool without asking. */
export function runsEveryTool(mode: string | undefined): boolean {
  return mode !== undefined && words[mode] === "unrestricted";
}

/** The meaning of each mode. */
export const modeMeaning: Readonly<Record<string, string>> = {
  standard: "asks before it changes files or runs commands",
  acceptEdits: "edits files without asking, and asks before it runs commands",
  unrestricted: "runs every tool without asking",
};
