import * as v from "valibot";
import { either } from "./either.ts";
import type { UserMessage } from "./message.ts";
import { ReferenceSchema } from "./reference-schema.ts";
import { TextPartSchema } from "./text-part-schema.ts";
import { wireObject } from "./wire-object.ts";

const TextSchema = v.pipe(v.string(), v.minLength(1, "must not be empty"));
const TextPartsSchema = v.pipe(v.array(TextPartSchema), v.minLength(1, "must have at least one part"));

const ContentSchema = either(Array.isArray, TextPartsSchema, TextSchema);

/** {@link UserMessage}, strict on known members; unknown ones are kept. */
export const UserMessageSchema: v.GenericSchema<unknown, UserMessage> = wireObject({
  client_message_id: ReferenceSchema,
  content: ContentSchema,
  role: v.literal("user"),
  otid: v.exactOptional(ReferenceSchema),
});
