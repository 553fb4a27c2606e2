/**
 * Values that outlive a reload: the texts that were sent from this tab, since events have the state of a message and not its text, and the
 * messages whose outcome is not known. They end with the tab, when the user signs out, and when another key signs in.
 */

const prefix = "letta-console:";
/** Texts that are kept, and the characters of each. */
const maxTexts = 100;
const maxLength = 4_000;

/** Reads a value that {@link keepInTab} wrote. Returns `null` if it is missing or the browser forbids storage. */
export function keptInTab(name: "sent" | "open" | "key"): unknown {
  try {
    return JSON.parse(sessionStorage.getItem(prefix + name) ?? "null");
  } catch {
    return null;
  }
}

/** Keeps a value until the tab ends. */
export function keepInTab(name: "sent" | "open" | "key", value: unknown): void {
  try {
    sessionStorage.setItem(prefix + name, JSON.stringify(value));
  } catch {
    // Storage is forbidden or full: the value is missing after a reload.
  }
}

function readTexts(): Readonly<Record<string, unknown>> {
  const value = keptInTab("sent");
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

/** Keeps the text of a message. */
export function rememberText(messageId: string, text: string): void {
  const kept = Object.entries({ ...readTexts(), [messageId]: text.slice(0, maxLength) }).slice(-maxTexts);
  keepInTab("sent", Object.fromEntries(kept));
}

/** Returns the text of a message that this tab has sent; empty if it is not known. */
export function recallText(messageId: string): string {
  const text = readTexts()[messageId];
  return typeof text === "string" ? text : "";
}

/** Forgets what was kept for another key than this one. `null`: for every key. */
export function keepForKey(keyId: string | null): void {
  if (keyId !== null && keptInTab("key") === keyId) return;
  for (const name of ["sent", "open"] as const) keepInTab(name, null);
  keepInTab("key", keyId);
}
