/**
 * The texts that were sent from this tab, so that they are still shown after a reload: events have the state of a message, and not its text.
 * They end with the tab, or when the user signs out.
 */

const name = "letta-console:sent";
/** Texts that are kept, and the characters of each. */
const maxTexts = 100;
const maxLength = 4_000;

function read(): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(sessionStorage.getItem(name) ?? "{}");
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** Keeps the text of a message. */
export function rememberText(messageId: string, text: string): void {
  const kept = Object.entries({ ...read(), [messageId]: text.slice(0, maxLength) }).slice(-maxTexts);
  try {
    sessionStorage.setItem(name, JSON.stringify(Object.fromEntries(kept)));
  } catch {
    // Storage is forbidden or full: the text is not shown after a reload.
  }
}

/** Returns the text of a message that this tab has sent; empty if it is not known. */
export function recallText(messageId: string): string {
  const text = read()[messageId];
  return typeof text === "string" ? text : "";
}

/** Forgets every text. */
export function forgetTexts(): void {
  sessionStorage.removeItem(name);
}
