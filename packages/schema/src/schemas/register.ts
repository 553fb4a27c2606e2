/** Registration: the request that enrols a device, and the response that contains the address of its WebSocket. */
import * as v from "valibot";
import { type EnvironmentMetadata, EnvironmentMetadataSchema } from "./environment.ts";
import { isDisplayable } from "../base/rules.ts";
import { IdentifierSchema, wireObject, type WireObjectSchema } from "../base/wire-schema.ts";

/** The body that enrols a device. Older devices send only `deviceId` and `connectionName`. */
export interface RegisterRequest {
  /** Identity of the device; the same after a restart. */
  deviceId: string;
  /** Name that a person gave to the device. */
  connectionName: string;
  /** Distinguishes several listeners on one device; the same after a restart. */
  listenerInstanceId?: string;
  /** Details that the device reports about itself, at most 16,384 characters as JSON. */
  metadata?: EnvironmentMetadata;
}

/** The new connection, and where the device opens its WebSocket. */
export interface RegisterResponse {
  /** Id of the new connection. */
  connectionId: string;
  /** Absolute `ws:` or `wss:` URL; the device keeps its query. */
  wsUrl: string;
  /** Whether the device opens two sockets, one for control and one for its status. */
  supportsSplitStatusChannels?: boolean;
  /** Whether the device says which two sockets belong together. */
  supportsPairedListenerGenerations?: boolean;
}

/** Schema of {@link RegisterRequest}. Unknown members are kept. */
export const RegisterRequestSchema: WireObjectSchema<RegisterRequest> = /* @__PURE__ */ wireObject(() => ({
  deviceId: IdentifierSchema,
  connectionName: v.pipe(
    v.string(),
    v.minLength(1, "must not be empty"),
    v.maxLength(256, "must have at most 256 characters"),
    v.check(isDisplayable, "must not have control characters or unpaired surrogates"),
  ),
  listenerInstanceId: v.exactOptional(IdentifierSchema),
  metadata: v.exactOptional(EnvironmentMetadataSchema),
}));

/** Schema of {@link RegisterResponse}. Unknown members are kept. */
export const RegisterResponseSchema: WireObjectSchema<RegisterResponse> = /* @__PURE__ */ wireObject(() => ({
  connectionId: v.string(),
  wsUrl: v.string(),
  supportsSplitStatusChannels: v.exactOptional(v.boolean()),
  supportsPairedListenerGenerations: v.exactOptional(v.boolean()),
}));
