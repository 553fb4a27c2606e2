import * as v from "valibot";

/** A string type that suggests the known values and accepts any other, so that a newer server breaks no caller. */
export type OpenEnum<Known extends string> = Known | (string & {});

/** A schema for {@link OpenEnum}: the known values are documentation, any string is accepted and kept. */
export function openEnum<const Known extends readonly string[]>(
  known: Known,
): v.GenericSchema<OpenEnum<Known[number]>> {
  return v.union([v.picklist(known), v.string()]) as v.GenericSchema<OpenEnum<Known[number]>>;
}
