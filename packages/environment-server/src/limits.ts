/** How long the server waits for a device to acknowledge a message, in milliseconds. */
export const acknowledgementTimeoutMs = 10_000;

/**
 * How long a device is left alone after its socket opened, in milliseconds. A device acknowledges an input that reaches it
 * before its own open handler has run, but never reports the turn; that happens when a message follows the handshake at once.
 */
export const defaultSettleMs = 300;

/** How long a message id is remembered with its result, and a replaced connectionId with its device, in milliseconds. */
export const retentionMs: number = 24 * 60 * 60 * 1_000;

/** How often signs of life are written to the store, and old records removed from it, in milliseconds. */
export const sweepIntervalMs = 30_000;

/** Messages that may wait in one conversation; a device drops its oldest accepted one beyond this. */
export const maxWaitingMessages = 100;

/** Sends to one device that may wait for an acknowledgement at the same time. */
export const maxUnacknowledgedSends = 64;

/** Rows of one tenant. */
export const maxEnvironmentsPerTenant = 10_000;

/** Replaced or unused connectionIds that are remembered for one row. */
export const maxConnectionsPerEnvironment = 100;

/** Largest `metadata` of a registration, in characters of JSON. */
export const maxMetadataLength = 65_536;
