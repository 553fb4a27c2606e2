import * as v from "valibot";
import { EnvironmentMetadataSchema } from "./environment.ts";
import { IdentifierSchema } from "./identifier.ts";
import type { RegisterRequest } from "./register.ts";
import { wireObject } from "./wire-object.ts";
import { isDisplayable } from "./wire-rules.ts";

/** {@link RegisterRequest}, strict on known members; unknown ones are tolerated. */
export const RegisterRequestSchema: v.GenericSchema<unknown, RegisterRequest> = wireObject({
  deviceId: IdentifierSchema,
  connectionName: v.pipe(
    v.string(),
    v.minLength(1, "must not be empty"),
    v.maxLength(256, "must have at most 256 characters"),
    v.check(isDisplayable, "must not have control characters or unpaired surrogates"),
  ),
  listenerInstanceId: v.exactOptional(IdentifierSchema),
  metadata: v.exactOptional(EnvironmentMetadataSchema),
});
