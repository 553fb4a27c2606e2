/**
 * Texts of devices and agents as tools report them. Invisible characters could tell the model something that the user, who decides, does not see, and
 * an endless input of one device could leave no room for other requests in a result.
 */
import { escapeSpaces, printableLines } from "@letta-environments/command-line";
import { proseMembers } from "../format/approval.ts";

/** Changes each text in a JSON value, including names of members. */
function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, change));
  if (typeof value !== "object" || value === null) return value;
  return mapMembers({ ...value }, change);
}

type Members = Readonly<Record<string, unknown>>;

/** @param changeProse for members with one of the {@link proseMembers} */
function mapMembers(
  members: Members,
  change: (text: string) => string,
  changeProse: (text: string) => string = change,
): Members {
  const changed = new Map<string, unknown>();
  for (const [index, [name, value]] of Object.entries(members).entries()) {
    const base = change(name);
    let free = base;
    // A name that has become equal to another one must not hide its member.
    for (let number = index; changed.has(free); number++) free = `${base} (${number})`;
    changed.set(free, mapTexts(value, proseMembers.has(name) ? changeProse : change));
  }
  return Object.fromEntries(changed);
}

/** Escapes invisible characters, and those that change the direction of text, as in a JSON string. Line ends and tabs are kept. */
export function escapeHidden(text: string): string {
  return text.split("\r\n").map(printableLines).join("\r\n");
}

/** Returns members with each text in the form of {@link escapeHidden}. */
export function escapeMembers(members: Members): Members {
  return mapMembers(members, escapeHidden);
}

/** Returns the arguments of a tool like {@link escapeMembers}, and also escapes spaces that a shell does not take for one. */
export function escapeInput(input: Members): Members {
  return mapMembers(input, (text) => escapeSpaces(escapeHidden(text)), escapeHidden);
}

const cutMark = "…[list_approvals with this id shows more]…";

/**
 * Returns the arguments of a tool with the start and the end of each long text, so that their JSON has at most `maxLength` characters; `null` if
 * that is still too long.
 */
export function shortenInput(input: Members, maxLength: number): Members | null {
  if (JSON.stringify(input).length <= maxLength) return input;
  for (const textLength of [1_000, 250, 50]) {
    const shown = mapMembers(input, (text) => shortenText(text, textLength, cutMark));
    if (JSON.stringify(shown).length <= maxLength) return shown;
  }
  return null;
}

/** Returns a text in the form of {@link escapeHidden}, and only the start and the end if it is longer than `length`. */
export function showText(text: string, length: number): string {
  return cutText(text, length).shown;
}

/** {@link showText}, and whether something is missing. */
export function cutText(text: string, length: number): { readonly shown: string; readonly isCut: boolean } {
  // Escaping takes time, so it does not get more than is shown.
  const part = shortenText(text, length, "…");
  const visible = escapeHidden(part);
  const shown = shortenText(visible, length, "…");
  return { shown, isCut: part !== text || shown !== visible };
}

function shortenText(text: string, length: number, mark: string): string {
  if (text.length <= length + mark.length) return text;
  const start = text.slice(0, length / 2).replace(/[\ud800-\udbff]$/, "");
  const end = text.slice(-length / 2).replace(/^[\udc00-\udfff]/, "");
  return `${start}${mark}${end}`;
}
