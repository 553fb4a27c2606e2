import * as v from "valibot";
import { isRecord } from "./is-record.ts";

// valibot's own object schemas take an array for an object whose members are missing, and accept it where all are optional.
const RecordSchema = v.custom<object>(isRecord, "must be an object");

/**
 * An object on the wire: its known members are checked and unknown ones are kept, so that what is newer than this package
 * passes. Arrays are refused.
 */
// @__NO_SIDE_EFFECTS__
export function wireObject<const Entries extends v.ObjectEntries>(
  entries: Entries,
): v.GenericSchema<unknown, v.InferOutput<v.LooseObjectSchema<Entries, undefined>>> {
  return v.pipe(RecordSchema, v.looseObject(entries));
}
