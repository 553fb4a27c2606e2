/** The audit log of changes of keys, as an isolate calls it. The Durable Object that has the records is in `audit-object.ts`. */
import type { Clock } from "@letta-environments/platform";
import type { AuditEntry } from "../../audit/entry.ts";
import type { AuditLog } from "../../audit/log.ts";
import { AuditUnavailableError } from "../../audit/store.ts";
import { callObject, objectTimeoutMs } from "./object-call.ts";

/** The remote methods of `AuditObject`. */
export interface AuditObjectStub {
  /** Resolves when the entry is durable. */
  append(entry: AuditEntry): Promise<void>;
}

/** Creates an audit log in a Durable Object. `audit` returns a stub of it, and is called for each entry. */
export function createDurableAuditLog(audit: () => AuditObjectStub, clock: Pick<Clock, "setTimer">): AuditLog {
  return {
    async append(entry) {
      try {
        await callObject(clock, objectTimeoutMs, () => audit().append(entry));
      } catch (cause) {
        throw new AuditUnavailableError(cause);
      }
    },
  };
}
