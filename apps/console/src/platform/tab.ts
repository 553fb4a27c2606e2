/**
 * Values that survive a reload: the texts sent from this tab, since events have the state of a message but not its text, unsent texts, and messages
 * with an unknown outcome. They are removed with the tab, when the user signs out, and when another key signs in.
 */
import { clearFragment } from "./browser.ts";

type TabValue = "sent" | "open" | "drafts" | "key";

const prefix = "letta-console:";
/** How many texts are kept, and how many characters of a sent one. An unsent one is kept whole, since it may still be sent. */
const maxTexts = 100;
const maxLength = 4_000;

/** Reads a value that {@link writeTab} wrote. Returns `null` if it is missing or the browser forbids storage. */
export function readTab(name: TabValue): unknown {
  try {
    return JSON.parse(sessionStorage.getItem(prefix + name) ?? "null");
  } catch {
    return null;
  }
}

/** Keeps a value until the tab ends. */
export function writeTab(name: TabValue, value: unknown): void {
  try {
    sessionStorage.setItem(prefix + name, JSON.stringify(value));
  } catch {
    // Storage is forbidden or full: the value is missing after a reload.
  }
}

function readTexts(name: "sent" | "drafts"): Readonly<Record<string, unknown>> {
  const value = readTab(name);
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

/** Keeps the text of a sent message by its id, or the unsent text for a device by the id of the device. */
export function rememberText(name: "sent" | "drafts", id: string, text: string): void {
  const length = name === "sent" ? maxLength : text.length;
  const kept = Object.entries({ ...readTexts(name), [id]: text.slice(0, length) }).slice(-maxTexts);
  writeTab(name, Object.fromEntries(kept));
}

/** Returns a text that this tab has kept; empty if it is not known. */
export function recallText(name: "sent" | "drafts", id: string): string {
  const text = readTexts(name)[id];
  return typeof text === "string" ? text : "";
}

/** Forgets everything unless it was kept for this key. `null`: forgets everything. */
export function forgetOtherKeys(keyId: string | null): void {
  const last = readTab("key");
  if (keyId !== null && last === keyId) return;
  // The address may have the search of the other key.
  if (last !== null) clearFragment();
  for (const name of ["sent", "open", "drafts"] as const) writeTab(name, null);
  writeTab("key", keyId);
}
