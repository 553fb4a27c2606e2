import * as v from "valibot";
import type { SendMessageResponse } from "./message.ts";
import { wireObject } from "./wire-object.ts";

/** {@link SendMessageResponse}, read tolerantly. What matters most is looked at first: a guard tells the first member that is wrong. */
export const SendMessageResponseSchema: v.GenericSchema<unknown, SendMessageResponse> = wireObject({
  success: v.boolean(),
  message: v.string(),
});
