/** Audit entries of the commands that viewers send over their sockets. Each is on disk before its command leaves. */
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import type { ViewerCommandEntry } from "./entry.ts";
import type { AuditLog } from "./log.ts";

/** A command without its result. */
export type ViewerCommandFacts = Omit<ViewerCommandEntry, "type" | "code">;

/** Writes the entries of viewers. */
export interface AuditViewers {
  /** Records a command that is about to leave. A response means that it must not. */
  record(facts: ViewerCommandFacts): Promise<PlainResponse | null>;
  /** Records a frame that was refused. It never throws: `onFailure` receives a failure. */
  recordRefused(facts: ViewerCommandFacts, code: string): void;
}

/** Creates {@link AuditViewers}. Without a log nothing is written. */
export function createAuditViewers(
  log: AuditLog | null,
  onFailure: (requestId: string, cause: unknown) => void,
): AuditViewers {
  return {
    async record(facts) {
      try {
        await log?.append({ type: "viewer_command", ...facts, code: null });
        return null;
      } catch (cause) {
        onFailure(facts.requestId, cause);
        return problemResponse("audit_unavailable");
      }
    },
    recordRefused(facts, code) {
      log
        ?.append({ type: "viewer_command", ...facts, code })
        .catch((cause: unknown) => onFailure(facts.requestId, cause));
    },
  };
}
