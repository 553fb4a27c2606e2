/**
 * Denies requests for permission in the name of a policy: immediately, or when their deadline passes while their device is connected. A
 * request whose deadline passed before is denied when its device asks again, including after a restart of the gateway.
 */
import type { StoredApproval } from "../approval-log.ts";
import { denialRetryMs } from "../limits.ts";
import type { PendingApproval } from "./pending.ts";
import {
  createUntrackedDenials,
  type OnDenied,
  type UntrackedDenials,
  type UntrackedDenialsOptions,
} from "./untracked.ts";

export interface PolicyEnforcement extends Pick<UntrackedDenials, "keepOnly"> {
  /** Denies a request at its deadline, if its device is connected then. */
  schedule(entry: PendingApproval): void;
  /** Called each time a device asks. Denies the request if its deadline has passed; otherwise does nothing. */
  apply(entry: PendingApproval): void;
  /**
   * Immediately denies a request that is not remembered, if a policy denies its tool. Its deadline cannot be kept. Calls `onSent` when the denial was
   * sent.
   */
  applyUntracked(approval: StoredApproval, onSent: OnDenied): void;
  /** A device was disconnected. Denials of its requests that are not remembered are not repeated. */
  disconnect(environmentId: string): void;
  /** Forgets a request. */
  cancel(entry: PendingApproval): void;
  /** Stops all denials. */
  close(): void;
}

interface PolicyEnforcementOptions extends Omit<UntrackedDenialsOptions, "mayDeny"> {
  readonly wallNow: () => number;
  readonly isConnected: (environmentId: string) => boolean;
}

interface DenialTimer {
  /** In monotonic time, so that setting the clock does not move a deadline. */
  readonly dueMs: number;
  cancel: () => void;
}

export function createPolicyEnforcement(options: PolicyEnforcementOptions): PolicyEnforcement {
  const { clock, wallNow, deny, isConnected } = options;
  /** The timer of each request with a policy, even after it has fired. */
  const timers = new Map<PendingApproval, DenialTimer>();
  const running = new Set<PendingApproval>();
  let isClosed = false;

  const mayDeny = ({ scope }: StoredApproval): boolean => !isClosed && isConnected(scope.environmentId);
  const untracked = createUntrackedDenials({ ...options, mayDeny });

  function apply(entry: PendingApproval): void {
    const { approval, sent } = entry;
    const timer = timers.get(entry);
    if (timer === undefined || timer.dueMs > clock.monotonic() || !mayDeny(approval)) return;
    if (sent !== null || running.has(entry)) return;
    running.add(entry);
    void deny(approval).finally(() => {
      running.delete(entry);
      // The device may have had too much to acknowledge. One that was disconnected asks again.
      const current = timers.get(entry);
      if (current !== undefined && entry.sent === null && mayDeny(approval)) applyLater(entry, current, denialRetryMs);
    });
  }

  function applyLater(entry: PendingApproval, timer: DenialTimer, delayMs: number): void {
    timer.cancel();
    timer.cancel = clock.setTimer(delayMs, () => {
      // Timers can fire a moment before their time.
      const earlyMs = timer.dueMs - clock.monotonic();
      if (earlyMs > 0) applyLater(entry, timer, earlyMs);
      else apply(entry);
    });
  }

  return {
    apply,
    applyUntracked(approval, onSent) {
      if (approval.expiry !== null && approval.expiry.at <= wallNow()) untracked.start(approval, onSent);
    },
    keepOnly: untracked.keepOnly,
    disconnect: untracked.cancelRow,
    schedule(entry) {
      untracked.cancel(entry.approval);
      const { expiry, requestedAt } = entry.approval;
      if (expiry === null || isClosed) return;
      // A clock that was ahead when it was stored does not make it wait longer.
      const delayMs = Math.max(0, expiry.at - Math.max(requestedAt, wallNow()));
      const timer: DenialTimer = { dueMs: clock.monotonic() + delayMs, cancel: () => undefined };
      timers.set(entry, timer);
      applyLater(entry, timer, delayMs);
    },
    cancel(entry) {
      timers.get(entry)?.cancel();
      timers.delete(entry);
    },
    close() {
      isClosed = true;
      for (const { cancel } of timers.values()) cancel();
      timers.clear();
      untracked.close();
    },
  };
}
