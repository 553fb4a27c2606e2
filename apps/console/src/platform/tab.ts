/**
 * Values that survive a reload: the texts sent from this tab, since events have the state of a message but not its text, unsent texts, and messages
 * with an unknown outcome. They are removed with the tab, when the user signs out, and when another key signs in.
 */
import { clearFragment, readStored, writeStored } from "./browser.ts";

/** How many texts are kept, and how many characters of a sent one. An unsent one is kept whole, since it may still be sent. */
const maxTexts = 100;
const maxLength = 4_000;

function readTexts(name: "sent" | "drafts"): Readonly<Record<string, unknown>> {
  const value = readStored("sessionStorage", name);
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

/** Keeps the text of a sent message by its id, or the unsent text for a device by the id of the device. */
export function rememberText(name: "sent" | "drafts", id: string, text: string): void {
  const length = name === "sent" ? maxLength : text.length;
  const kept = Object.entries({ ...readTexts(name), [id]: text.slice(0, length) }).slice(-maxTexts);
  writeStored("sessionStorage", name, Object.fromEntries(kept));
}

/** Returns a text that this tab has kept; empty if it is not known. */
export function recallText(name: "sent" | "drafts", id: string): string {
  const text = readTexts(name)[id];
  return typeof text === "string" ? text : "";
}

/** Forgets everything unless it was kept for this key. `null`: forgets everything. */
export function forgetOtherKeys(keyId: string | null): void {
  const last = readStored("sessionStorage", "key");
  if (keyId !== null && last === keyId) return;
  // The address may have the search of the other key.
  if (last !== null) clearFragment();
  for (const name of ["sent", "open", "drafts"]) writeStored("sessionStorage", name, null);
  writeStored("sessionStorage", "key", keyId);
}
