export { createValkeyApprovalLog } from "./approval-log.ts";
export { createValkeyChangeLog, type ValkeyChangeLogOptions } from "./change-log.ts";
export { createValkeyMessageLog } from "./message-log.ts";
export type { ValkeyLogOptions } from "./scripts.ts";
