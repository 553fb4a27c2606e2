import * as v from "valibot";
import { isWellFormed } from "./wire-rules.ts";

/** Longest id of a message, an agent or a conversation, in UTF-16 code units. */
export const maxReferenceLength = 256;

/** A text without unpaired surrogates. */
export const wellFormed: v.CheckAction<string, string> = v.check(
  isWellFormed,
  "must be well-formed Unicode, without unpaired surrogates",
);

/** An id of a message, an agent or a conversation. */
export const ReferenceSchema: v.GenericSchema<unknown, string> = v.pipe(
  v.string(),
  wellFormed,
  v.minLength(1, "must not be empty"),
  v.maxLength(maxReferenceLength, `must have at most ${maxReferenceLength} characters`),
);
