import * as v from "valibot";
import type { RegisterResponse } from "./register.ts";
import { wireObject } from "./wire-object.ts";

/** {@link RegisterResponse}. */
export const RegisterResponseSchema: v.GenericSchema<unknown, RegisterResponse> = wireObject({
  connectionId: v.string(),
  wsUrl: v.string(),
  supportsSplitStatusChannels: v.exactOptional(v.boolean()),
  supportsPairedListenerGenerations: v.exactOptional(v.boolean()),
});
