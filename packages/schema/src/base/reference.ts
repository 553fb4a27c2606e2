/**
 * References in bodies and queries: ids of messages, agents, conversations, tool calls and runs. These schemas accept `.` and `..`, because the
 * values that they check are not part of a path. In a path, `isReference` of `rules.ts` refuses both, and an id that its sender may later put into a
 * path must also pass `isNoDotSegment`.
 */
import * as v from "valibot";
import { isWellFormed, maxReferenceLength } from "./rules.ts";

/** The conversation of an agent that needs no id. */
export const defaultConversationId = "default";

const wellFormed = (): v.CheckAction<string, string> =>
  v.check(isWellFormed, "must be well-formed Unicode, without unpaired surrogates");
const maxLength = (): v.MaxLengthAction<string, number, string> =>
  v.maxLength(maxReferenceLength, `must have at most ${maxReferenceLength} characters`);

/** The id of a message, an agent, a run or a tool call. */
export const reference = (): v.GenericSchema<string> =>
  v.pipe(v.string(), wellFormed(), v.minLength(1, "must not be empty"), maxLength());

/** The id of a conversation; an empty one stands for {@link defaultConversationId}. */
export const conversationReference = (): v.GenericSchema<string> => v.pipe(v.string(), wellFormed(), maxLength());
