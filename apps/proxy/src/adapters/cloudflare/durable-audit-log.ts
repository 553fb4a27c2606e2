import type { AuditLog } from "../../audit/log.ts";
import { AuditUnavailableError } from "../../audit/store.ts";
import type { AuditObjectStub } from "./audit-object.ts";

/** The audit log in a Durable Object; `audit` is asked anew for each entry. */
export function createDurableAuditLog(audit: () => AuditObjectStub): AuditLog {
  return {
    async append(entry) {
      try {
        await audit().append(entry);
      } catch (cause) {
        throw new AuditUnavailableError(cause);
      }
    },
  };
}
