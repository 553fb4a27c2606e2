/** Schemas for bodies and files that people write: an unknown member is refused by its name, and each rule is a text for people. */
import * as v from "valibot";

/** Creates a schema for one of the given texts. Its rule lists them. */
export function oneOf<const Option extends string>(options: readonly Option[]): v.GenericSchema<unknown, Option> {
  return v.picklist(options, `must be one of ${options.join(", ")}`);
}

/**
 * Creates a schema for an object with no other members. It reports each unknown member by name, including names that every
 * object inherits (`constructor`), which valibot's `strictObject` accepts.
 */
export function exactObject<const Entries extends v.ObjectEntries>(
  entries: Entries,
  unknownRule: (name: string) => string,
): v.GenericSchema<unknown, v.InferOutput<v.ObjectSchema<Entries, undefined>>> {
  return v.pipe(
    v.unknown(),
    v.rawCheck(({ dataset, addIssue }) => {
      const input: unknown = dataset.value;
      if (typeof input !== "object" || input === null || Array.isArray(input)) {
        addIssue({ message: "must be an object" });
        return;
      }
      for (const [key, value] of Object.entries(input)) {
        if (Object.hasOwn(entries, key)) continue;
        addIssue({ message: unknownRule(key), path: [{ type: "unknown", origin: "key", input, key, value }] });
      }
    }),
    v.looseObject(entries),
  );
}

/** Refuses an array, which valibot accepts as an object whose members are all absent. */
export const isNotArray: v.CheckAction<unknown, string> = v.check(
  (value: unknown) => !Array.isArray(value),
  "must be an object",
);

/** Names that valibot silently leaves out of an object. */
export const impossibleNames: readonly string[] = ["__proto__", "prototype", "constructor"];

/** Refuses an object with a member that valibot would leave out. */
export const isNameable: v.CheckAction<unknown, string> = v.check(
  (value: unknown) =>
    typeof value !== "object" || value === null || impossibleNames.every((name) => !Object.hasOwn(value, name)),
  "must have no member named __proto__, prototype or constructor",
);

/** An object with freely chosen member names. */
export function record<Key extends string, Value>(
  key: v.GenericSchema<string, Key>,
  value: v.GenericSchema<unknown, Value>,
): v.GenericSchema<unknown, Record<string, Value>> {
  return v.pipe(v.unknown(), isNotArray, isNameable, v.record(key, value, "must be an object"));
}

/** An integer within bounds. The check carries the bounds as members for JSON Schemas. */
export function numberIn(minimum: number, maximum: number, rule: string): v.GenericSchema<unknown, number> {
  const check = v.check((value: number) => Number.isInteger(value) && value >= minimum && value <= maximum, rule);
  return v.pipe(v.number(), Object.assign(check, { minimum, maximum }));
}
