/** Building blocks of the schemas for settings. */
import * as v from "valibot";
import { isNotArray, numberIn } from "../lib/strict-schemas.ts";

const secretName = /api_?-?key|secret|token|password|pepper|credential|authorization/i;

interface ObjectIssue {
  readonly expected: string | null;
  readonly path?: readonly { readonly key?: unknown }[] | undefined;
}

function objectRule(issue: ObjectIssue): string {
  if (issue.expected !== "never") return issue.expected === "Object" ? "must be an object" : "is required";
  if (!secretName.test(String(issue.path?.at(-1)?.key))) return "is not a setting";
  return "is not a setting; if it is a secret, put it into the environment or a separate file, never into this one";
}

/** An object without unknown members. */
export function object<const Entries extends v.ObjectEntries>(
  entries: Entries,
): v.GenericSchema<unknown, v.InferOutput<v.StrictObjectSchema<Entries, undefined>>> {
  return v.pipe(v.unknown(), isNotArray, v.strictObject(entries, objectRule));
}

/** A non-empty text. */
export function text(maxLength = 4_096): v.GenericSchema<string, string> {
  return v.pipe(
    v.string(),
    v.minLength(1, "must not be empty"),
    v.maxLength(maxLength, `must have at most ${maxLength} characters`),
  );
}

/** A non-empty list. */
export function list<Item>(
  item: v.GenericSchema<unknown, Item> | v.GenericSchema<string, Item>,
  maxLength: number,
): v.GenericSchema<unknown, Item[]> {
  return v.pipe(
    v.array(item),
    v.minLength(1, "must not be empty"),
    v.maxLength(maxLength, `must have at most ${maxLength} entries`),
  );
}

/** An integer within bounds. */
export function number(minimum: number, maximum: number): v.GenericSchema<unknown, number> {
  return numberIn(minimum, maximum, `must be an integer from ${minimum} to ${maximum}`);
}
