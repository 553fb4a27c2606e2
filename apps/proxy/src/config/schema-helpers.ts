import * as v from "valibot";

/** What schemas of settings are made of. */

const secretName = /api_?-?key|secret|token|password|pepper|credential|authorization/i;

interface ObjectIssue {
  readonly expected: string | null;
  readonly path?: readonly { readonly key?: unknown }[] | undefined;
}

function objectRule(issue: ObjectIssue): string {
  if (issue.expected !== "never") return issue.expected === "Object" ? "must be an object" : "is required";
  if (!secretName.test(String(issue.path?.at(-1)?.key))) return "is not a setting";
  return "is not a setting; if it is a secret, it belongs into the environment or a file of its own, never into this one";
}

// An array would pass for an object whose every member is absent.
const isNotArray = v.check((value: unknown) => !Array.isArray(value), "must be an object");

/** An object without other members. */
export function object<const Entries extends v.ObjectEntries>(
  entries: Entries,
): v.GenericSchema<unknown, v.InferOutput<v.StrictObjectSchema<Entries, undefined>>> {
  return v.pipe(v.unknown(), isNotArray, v.strictObject(entries, objectRule));
}

/** Names that no record can hold: they would be left out without a word. */
const impossibleNames = ["__proto__", "prototype", "constructor"];

const isNameable = v.check(
  (value: unknown) =>
    typeof value !== "object" || value === null || impossibleNames.every((name) => !Object.hasOwn(value, name)),
  `must have no member of the name ${impossibleNames.join(", ")}`,
);

/** An object whose members are named by whoever writes it. */
export function record<Key extends string, Value>(
  key: v.GenericSchema<string, Key>,
  value: v.GenericSchema<unknown, Value>,
): v.GenericSchema<unknown, Record<string, Value>> {
  return v.pipe(v.unknown(), isNotArray, isNameable, v.record(key, value, "must be an object"));
}

/** A text that is not empty. */
export function text(maxLength = 4_096): v.GenericSchema<string, string> {
  return v.pipe(
    v.string(),
    v.minLength(1, "must not be empty"),
    v.maxLength(maxLength, `must have at most ${maxLength} characters`),
  );
}

/** A list that is not empty. */
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

/** A whole number within bounds, which the check has as members: the JSON Schema for editors tells them too. */
export function number(minimum: number, maximum: number): v.GenericSchema<unknown, number> {
  const check = v.check(
    (value: number) => Number.isInteger(value) && value >= minimum && value <= maximum,
    `must be a whole number from ${minimum} to ${maximum}`,
  );
  return v.pipe(v.number(), Object.assign(check, { minimum, maximum }));
}

/** A schema with the text that editors show. */
export function setting<Input, Value>(
  schema: v.GenericSchema<Input, Value>,
  description: string,
): v.GenericSchema<Input, Value> {
  return v.pipe(schema, v.description(description));
}
