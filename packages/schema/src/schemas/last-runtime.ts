/** The device that ran a conversation last. */
import * as v from "valibot";
import { EnvironmentMetadataSchema, type EnvironmentMetadata } from "./environment.ts";
import { type OpenEnum, openEnum, wireObject, type WireObjectSchema } from "../base/wire-schema.ts";

/** Whether a device can receive messages now. */
export type RuntimeStatus = OpenEnum<"online" | "offline" | "unreachable">;

/** The kind of a runtime. */
export type RuntimeSource = OpenEnum<"environment" | "sandbox" | "unknown">;

/** The device that accepted a message of a conversation last. Times are epoch milliseconds. */
export interface LastRuntime {
  /** `id` of the device's row; `null` if the server has none. */
  environmentId: string | null;
  /** Identity of the device. */
  deviceId: string;
  /** Name that a person gave to the device. */
  connectionName: string;
  /** Details that the device reports about itself; `null` if it reported none. */
  metadata: EnvironmentMetadata | null;
  /** Whether the device can receive messages now. */
  status: RuntimeStatus;
  /** Whether {@link status} is `online`. */
  isOnline: boolean;
  /** When the server last received anything from the device; `null`: unknown. */
  lastSeenAt: number | null;
  /** When the last message that the device accepted in this conversation was sent. */
  lastUsedAt: number;
  /** `environment` on a server of your own. */
  source: RuntimeSource;
}

/** Schema of {@link LastRuntime}. */
export const LastRuntimeSchema: WireObjectSchema<LastRuntime> = /* @__PURE__ */ wireObject(() => ({
  environmentId: v.nullable(v.string()),
  deviceId: v.string(),
  connectionName: v.string(),
  metadata: v.nullable(EnvironmentMetadataSchema),
  status: openEnum(["online", "offline", "unreachable"]),
  isOnline: v.boolean(),
  lastSeenAt: v.nullable(v.number()),
  lastUsedAt: v.number(),
  source: openEnum(["environment", "sandbox", "unknown"]),
}));
