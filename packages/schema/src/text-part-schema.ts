import * as v from "valibot";
import type { TextPart } from "./message.ts";
import { wireObject } from "./wire-object.ts";

/** {@link TextPart}. */
export const TextPartSchema: v.GenericSchema<unknown, TextPart> = wireObject({
  text: v.string(),
  type: v.literal("text"),
});
