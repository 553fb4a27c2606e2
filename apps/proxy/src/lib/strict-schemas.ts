import * as v from "valibot";

/** Creates a schema for one of the given texts. Its rule lists them. */
export function oneOf<const Option extends string>(options: readonly Option[]): v.GenericSchema<unknown, Option> {
  return v.picklist(options, `must be one of ${options.join(", ")}`);
}

/**
 * Creates a schema for an object without other members. It reports each unknown member by name, including names that every
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
