import * as v from "valibot";

/** One of some texts, which its rule names. */
export function oneOf<const Option extends string>(options: readonly Option[]): v.GenericSchema<unknown, Option> {
  return v.picklist(options, `must be one of ${options.join(", ")}`);
}
