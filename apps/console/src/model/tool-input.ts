/**
 * The input of a tool for the person who decides: edits as differences, commands as commands, and everything else as members.
 * The input comes from a model, so every member may be missing or have another type.
 */
import { escapeSpaces, printable, printableLines } from "@letta-environments/command-line/printable";
import { isRecord } from "@letta-environments/schema/guards";

/** A part of the description. Its texts are {@link printableLines}. */
export type InputPart =
  | { readonly kind: "command"; readonly text: string }
  | { readonly kind: "path"; readonly text: string }
  /** A change of a text. */
  | { readonly kind: "edit"; readonly before: string; readonly after: string }
  | { readonly kind: "member"; readonly name: string; readonly text: string };

const commandMembers = ["command", "cmd"] as const;
const pathMembers = ["file_path", "path", "notebook_path"] as const;
const editMembers = [
  ["old_string", "new_string"],
  ["old_str", "new_str"],
] as const;
/** Texts that legitimately contain unusual spaces. A program may run any other text. */
const proseMembers: readonly string[] = ["description", "content", ...editMembers.flat()];

/** The deepest nesting that is drawn. The gateway accepts no deeper frames, but arguments of a tool are a text in them. */
const maxDepth = 64;
/** The most lines that are drawn. Each value also counts its indentation. */
const maxSize = 5_000;

/** Returns whether a value nests little and has few lines. */
export function isDrawable(value: unknown): boolean {
  let left = maxSize;
  const fits = (part: unknown, depth: number): boolean => {
    left -= typeof part === "string" ? part.split("\n").length : depth;
    if (depth > maxDepth || left < 0) return false;
    return typeof part === "string" || Object.values(part ?? {}).every((each) => fits(each, depth + 1));
  };
  return fits(value, 0);
}

/** Describes the input of a tool. */
export function describeInput(input: Readonly<Record<string, unknown>> | null): readonly InputPart[] {
  if (input === null) return [];
  const parts: InputPart[] = [];
  const used = new Set<string>();
  for (const [kind, names] of [
    ["path", pathMembers],
    ["command", commandMembers],
  ] as const)
    for (const name of names) {
      const text = input[name];
      if (typeof text !== "string") continue;
      used.add(name);
      parts.push({ kind, text });
    }
  const { edits, members } = editsOf(input);
  parts.push(...edits);
  for (const name of members) used.add(name);
  for (const [name, value] of Object.entries(input)) {
    if (used.has(name) || value === undefined) continue;
    const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
    const isProse = text === value && proseMembers.includes(name);
    parts.push({ kind: "member", name: escapeSpaces(name), text: isProse ? text : escapeSpaces(text) });
  }
  return parts.map(visible);
}

/** Writes out characters that are invisible or change the direction of text, because they could make a command look like another one. */
function visible(part: InputPart): InputPart {
  if (part.kind === "edit") return { ...part, before: printableLines(part.before), after: printableLines(part.after) };
  // A path is one line.
  if (part.kind === "path") return { ...part, text: printable(escapeSpaces(part.text).replaceAll("\n", "\\n")) };
  if (part.kind === "command") return { ...part, text: printableLines(escapeSpaces(part.text)) };
  return { ...part, name: printable(part.name), text: printableLines(part.text) };
}

/** Changes of a text, and the members that they show completely. Every other member is shown unchanged, so that nothing is hidden. */
interface Edits {
  readonly edits: readonly InputPart[];
  readonly members: readonly string[];
}

function editsOf(input: Readonly<Record<string, unknown>>): Edits {
  const { edits, content } = input;
  const own = editOf(input);
  if (own !== null) return { edits: [own.edit], members: own.members };
  if (Array.isArray(edits) && edits.length > 0) {
    const all = edits.map((edit: unknown) => (isRecord(edit) ? editOf(edit) : null));
    const isComplete = all.every((each, index) => each?.members.length === Object.keys(edits[index] as object).length);
    return isComplete ? { edits: all.flatMap((each) => each?.edit ?? []), members: ["edits"] } : none;
  }
  // A whole new file.
  const isFile = typeof content === "string" && pathMembers.some((name) => typeof input[name] === "string");
  return isFile ? { edits: [{ kind: "edit", before: "", after: content }], members: ["content"] } : none;
}

const none: Edits = { edits: [], members: [] };

function editOf(
  value: Readonly<Record<string, unknown>>,
): { readonly edit: InputPart; readonly members: readonly string[] } | null {
  for (const [old, next] of editMembers) {
    const [before, after] = [value[old], value[next]];
    if (typeof before !== "string" || typeof after !== "string") continue;
    return { edit: { kind: "edit", before, after }, members: [old, next] };
  }
  return null;
}
