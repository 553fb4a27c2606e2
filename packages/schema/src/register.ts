import * as v from "valibot";
import { type EnvironmentMetadata, EnvironmentMetadataSchema } from "./environment.ts";
import { IdentifierSchema } from "./identifier.ts";
import { wireObject } from "./wire-object.ts";
import { isDisplayable } from "./wire-rules.ts";

/** What a device sends to enrol; older devices send only `deviceId` and `connectionName`. */
export interface RegisterRequest {
  deviceId: string;
  connectionName: string;
  /** Tells several listeners on one device apart, stable over restarts. */
  listenerInstanceId?: string;
  metadata?: EnvironmentMetadata;
}

/** Where the device is to open its socket. */
export interface RegisterResponse {
  connectionId: string;
  /** Absolute `ws:` or `wss:` URL; the device keeps its query. */
  wsUrl: string;
  supportsSplitStatusChannels?: boolean;
  supportsPairedListenerGenerations?: boolean;
}

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

export { RegisterResponseSchema } from "./register-response-schema.ts";
