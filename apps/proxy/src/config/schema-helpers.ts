/** Building blocks of the schemas for settings. */
import * as v from "valibot";
import { isNameable, isNotArray, numberIn } from "../lib/strict-schemas.ts";

const secretName = /api_?-?key|secret|token|password|pepper|credential|authorization/i;

function unknownRule(name: string): string {
  if (!secretName.test(name)) return "is not a setting";
  return "is not a setting; if it is a secret, put it into the environment or a separate file, never into this one";
}

/** An object without unknown members. Each one is an issue, next to the issues of the known members. */
export function object<const Entries extends v.ObjectEntries>(
  entries: Entries,
): v.GenericSchema<unknown, v.InferOutput<v.LooseObjectSchema<Entries, undefined>>> {
  return v.pipe(
    v.unknown(),
    isNotArray,
    isNameable,
    v.looseObject(entries, ({ expected }) => (expected === "Object" ? "must be an object" : "is required")),
    v.rawCheck(({ dataset, addIssue }) => {
      const input: unknown = dataset.value;
      if (typeof input !== "object" || input === null) return;
      for (const [key, value] of Object.entries(input)) {
        if (Object.hasOwn(entries, key)) continue;
        addIssue({ message: unknownRule(key), path: [{ type: "unknown", origin: "key", input, key, value }] });
      }
    }),
  );
}

/** A non-empty text. Its characters are counted as JSON Schema counts them: a surrogate pair is one. The check carries the bound for that schema. */
export function text(maxLength = 4_096): v.GenericSchema<string, string> {
  const check = v.check(
    (value: string) => value.length <= maxLength || [...value].length <= maxLength,
    `must have at most ${maxLength} characters`,
  );
  return v.pipe(v.string(), v.minLength(1, "must not be empty"), Object.assign(check, { maxLength }));
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
