/**
 * Texts of devices and agents as tools report them. Invisible characters could tell the model something that the user, who decides, does not see, and
 * an endless input of one device could leave no room for other requests in a result.
 */
import { printableLines } from "@letta-environments/command-line";

/** Changes each text in a JSON value, including names of members. */
function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, change));
  if (typeof value !== "object" || value === null) return value;
  return mapMembers({ ...value }, change);
}

type Members = Readonly<Record<string, unknown>>;

function mapMembers(members: Members, change: (text: string) => string): Members {
  return Object.fromEntries(
    Object.entries(members).map(([name, value]) => [change(name), mapTexts(value, change)] as const),
  );
}

/** Escapes invisible characters, and those that change the direction of text, as in a JSON string. Line ends and tabs are kept. */
export function escapeHidden(text: string): string {
  return text.split("\r\n").map(printableLines).join("\r\n");
}

/** Returns members with each text in the form of {@link escapeHidden}. */
export function escapeMembers(members: Members): Members {
  return mapMembers(members, escapeHidden);
}

/** Whether {@link escapeMembers} changes anything. */
export function hasHiddenCharacters(members: Members): boolean {
  return JSON.stringify(escapeMembers(members)) !== JSON.stringify(members);
}

const cutMark = "…[list_approvals with this id shows more]…";

/**
 * Returns the arguments of a tool with the start and the end of each long text, so that their JSON has at most `maxLength` characters; `null` if
 * that is still too long.
 */
export function shortenInput(input: Members, maxLength: number): Members | null {
  if (JSON.stringify(input).length <= maxLength) return input;
  for (const textLength of [1_000, 250, 50]) {
    const shown = mapMembers(input, (text) => shortenText(text, textLength));
    if (JSON.stringify(shown).length <= maxLength) return shown;
  }
  return null;
}

function shortenText(text: string, length: number): string {
  if (text.length <= length + cutMark.length) return text;
  const start = text.slice(0, length / 2).replace(/[\ud800-\udbff]$/, "");
  const end = text.slice(-length / 2).replace(/^[\udc00-\udfff]/, "");
  return `${start}${cutMark}${end}`;
}
