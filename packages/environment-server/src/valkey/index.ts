/**
 * The module `@letta-environments/environment-server/valkey`: logs in Valkey. A connection comes from `./valkey-connection`; the rows of devices are
 * in another store.
 */
export { createValkeyApprovalLog } from "./approval-log.ts";
export { createValkeyChangeLog, type ValkeyChangeLogOptions } from "./change-log.ts";
export { createValkeyMessageLog } from "./message-log.ts";
export type { ValkeyLogOptions } from "./scripts.ts";
