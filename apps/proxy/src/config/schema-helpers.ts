import * as v from "valibot";

/** Building blocks of the schemas for settings. */

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

// valibot accepts an array as an object whose members are all absent.
const isNotArray = v.check((value: unknown) => !Array.isArray(value), "must be an object");

/** An object without unknown members. */
export function object<const Entries extends v.ObjectEntries>(
  entries: Entries,
): v.GenericSchema<unknown, v.InferOutput<v.StrictObjectSchema<Entries, undefined>>> {
  return v.pipe(v.unknown(), isNotArray, v.strictObject(entries, objectRule));
}

/** Names that valibot silently leaves out of a record. */
const impossibleNames = ["__proto__", "prototype", "constructor"];

const isNameable = v.check(
  (value: unknown) =>
    typeof value !== "object" || value === null || impossibleNames.every((name) => !Object.hasOwn(value, name)),
  `must have no member of the name ${impossibleNames.join(", ")}`,
);

/** An object with freely chosen member names. */
export function record<Key extends string, Value>(
  key: v.GenericSchema<string, Key>,
  value: v.GenericSchema<unknown, Value>,
): v.GenericSchema<unknown, Record<string, Value>> {
  return v.pipe(v.unknown(), isNotArray, isNameable, v.record(key, value, "must be an object"));
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

/** An integer within bounds. The check carries the bounds as members for the JSON Schema of editors. */
export function number(minimum: number, maximum: number): v.GenericSchema<unknown, number> {
  const check = v.check(
    (value: number) => Number.isInteger(value) && value >= minimum && value <= maximum,
    `must be an integer from ${minimum} to ${maximum}`,
  );
  return v.pipe(v.number(), Object.assign(check, { minimum, maximum }));
}
