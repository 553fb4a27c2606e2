/** Schemas of the members that several tools take. Their descriptions are what a model knows about them; the client checks ids. */
import * as v from "valibot";

/** How long a send waits by default: most clients give up on a tool call after a minute. */
export const defaultWaitSeconds = 45;
/** The longest wait of a tool call. Clients need a longer time limit, or must let progress reset it. */
export const maxWaitSeconds = 600;

/** A text that is not empty. */
export function textSchema(maxLength: number, description: string): v.GenericSchema<string> {
  const rule = `must have 1 to ${maxLength} characters`;
  return v.pipe(v.string(), v.minLength(1, rule), v.maxLength(maxLength, rule), v.description(description));
}

function integerSchema(minimum: number, maximum: number, description: string): v.GenericSchema<number> {
  const rule = `must be a whole number from ${minimum} to ${maximum}`;
  return v.pipe(
    v.number(),
    v.integer(rule),
    v.minValue(minimum, rule),
    v.maxValue(maximum, rule),
    v.description(description),
  );
}

/** A device as people name it. */
export const deviceSchema = (): v.GenericSchema<string> =>
  textSchema(256, "The device: its deviceId, or a name that only one online device has.");

/** The id of an agent, a conversation, a message or a request. */
export const idSchema = (description: string): v.GenericSchema<string> => textSchema(256, description);

type OptionalText = v.OptionalSchema<v.GenericSchema<string>, undefined>;

/** The agent and the conversation that a list is limited to. */
export const conversationFilter = (): Record<"agentId" | "conversationId", OptionalText> => ({
  agentId: v.optional(idSchema("Only of this agent; without it, of all.")),
  conversationId: v.optional(idSchema("Only of this conversation; without it, of all.")),
});

/** A number of seconds to wait. */
export const waitSecondsSchema = (description: string): v.GenericSchema<number> =>
  integerSchema(0, maxWaitSeconds, description);

/** The largest number of rows of a list. */
export const limitSchema = (maximum: number, description: string): v.GenericSchema<number> =>
  integerSchema(1, maximum, description);
