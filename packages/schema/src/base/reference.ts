/**
 * References in bodies and queries: ids of messages, agents, conversations, tool calls and runs. A reference that is never part of a path may be `.` or
 * `..`; any other must also pass `isNoDotSegment` of `rules.ts`.
 */
import * as v from "valibot";
import { referenceRule } from "./identifier.ts";
import { isReference, isWellFormed, maxReferenceLength } from "./rules.ts";

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

/** The id of an agent or a conversation that could also be in a path, see {@link isReference}. */
export const pathReference = (): v.GenericSchema<string> =>
  v.pipe(v.string(), v.check<string, string>(isReference, `must be ${referenceRule}`));
