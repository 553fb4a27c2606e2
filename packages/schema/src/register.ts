import type { EnvironmentMetadata } from "./environment.ts";

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

export { RegisterRequestSchema } from "./register-request-schema.ts";

export { RegisterResponseSchema } from "./register-response-schema.ts";
