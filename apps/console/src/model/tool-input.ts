/**
 * What a tool is about to do, for the person who decides: edits as differences, commands as commands, and everything else as members.
 * The input comes from a model, so every member may be missing or have another type.
 */

/** A part of the description. */
export type InputPart =
  | { readonly kind: "command"; readonly text: string }
  | { readonly kind: "path"; readonly text: string }
  /** A change of a text. */
  | { readonly kind: "edit"; readonly before: string; readonly after: string }
  | { readonly kind: "member"; readonly name: string; readonly text: string };

const commandMembers = ["command", "cmd"] as const;
const pathMembers = ["file_path", "path", "notebook_path"] as const;
const editMembers: ReadonlySet<string> = new Set(["old_string", "new_string", "old_str", "new_str", "content", "edits"]);

/** Describes the input of a tool. */
export function describeInput(input: Readonly<Record<string, unknown>> | null): readonly InputPart[] {
  if (input === null) return [];
  const parts: InputPart[] = [];
  const used = new Set<string>();
  for (const [kind, names] of [["path", pathMembers], ["command", commandMembers]] as const)
    for (const name of names) {
      const text = input[name];
      if (typeof text !== "string") continue;
      used.add(name);
      parts.push({ kind, text });
    }
  const edits = editsOf(input);
  if (edits.length > 0) for (const name of editMembers) used.add(name);
  parts.push(...edits);
  for (const [name, value] of Object.entries(input)) {
    if (used.has(name) || value === null || value === undefined) continue;
    parts.push({ kind: "member", name, text: typeof value === "string" ? value : JSON.stringify(value, null, 2) });
  }
  return parts;
}

function editsOf(input: Readonly<Record<string, unknown>>): readonly InputPart[] {
  const { edits, content } = input;
  const own = editOf(input);
  if (own !== null) return [own];
  if (Array.isArray(edits)) {
    const all = edits.map((edit: unknown) => (isObject(edit) ? editOf(edit) : null));
    return all.every((edit) => edit !== null) ? all : [];
  }
  // A whole new file.
  const isFile = typeof content === "string" && pathMembers.some((name) => typeof input[name] === "string");
  return isFile ? [{ kind: "edit", before: "", after: content }] : [];
}

function editOf(value: Readonly<Record<string, unknown>>): InputPart | null {
  const before = value["old_string"] ?? value["old_str"];
  const after = value["new_string"] ?? value["new_str"];
  return typeof before === "string" && typeof after === "string" ? { kind: "edit", before, after } : null;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
