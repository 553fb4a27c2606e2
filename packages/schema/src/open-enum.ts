import * as v from "valibot";

/** A string type that suggests the known values and accepts any other, so that a newer server breaks no caller. */
export type OpenEnum<Known extends string> = Known | (string & {});

/** A schema for {@link OpenEnum}: any string is accepted and kept; the known values can be read from the schema. */
// @__NO_SIDE_EFFECTS__
export function openEnum<const Known extends readonly string[]>(
  known: Known,
): v.GenericSchema<OpenEnum<Known[number]>> & { readonly known: Known } {
  return Object.assign(v.string(), { known });
}
