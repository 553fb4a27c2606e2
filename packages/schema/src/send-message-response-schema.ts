import * as v from "valibot";
import type { SendMessageResponse } from "./message.ts";
import { wireObject } from "./wire-object.ts";

/** {@link SendMessageResponse}, read tolerantly. */
export const SendMessageResponseSchema: v.GenericSchema<unknown, SendMessageResponse> = wireObject({
  message: v.string(),
  success: v.boolean(),
});
