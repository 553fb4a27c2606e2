/**
 * Denies requests for permission in the name of a policy: at once, or when their deadline passes while their device is connected. A request
 * whose deadline passed before is denied when its device asks again, including after a restart of the gateway.
 */
import type { Clock } from "@letta-environments/platform";
import type { StoredApproval } from "../approval-log.ts";
import type { Conversation } from "../dialects/conversation.ts";
import { denialRetryMs } from "../limits.ts";
import type { RegisteredApproval } from "./register.ts";
import { createUnregisteredDenials, type DenialResult, type OnDenied } from "./unregistered.ts";

/** Denies requests for permission in the name of policies. */
export interface PolicyEnforcement {
  /** Denies a request at its deadline, if its device is connected then. */
  schedule(registered: RegisteredApproval): void;
  /** Called each time that a device asks. Denies the request at once if its deadline has passed, otherwise it does nothing. */
  apply(registered: RegisteredApproval): void;
  /**
   * Denies a request that is not remembered at once, if a policy denies its tool. Its deadline cannot be kept. `onSent` is called when the denial was
   * sent.
   */
  applyUnregistered(approval: StoredApproval, onSent: OnDenied): void;
  /** A conversation asks only for these tool calls. Denials of others that are not remembered are not repeated. */
  keepOnly(environmentId: string, runtime: Conversation, toolCallIds: ReadonlySet<string>): void;
  /** A device was disconnected. Denials of its requests that are not remembered are not repeated. */
  disconnect(environmentId: string): void;
  /** Forgets a request. */
  cancel(registered: RegisteredApproval): void;
  /** Nothing is denied from now on. */
  close(): void;
}

/** Dependencies of a {@link PolicyEnforcement}. */
export interface PolicyEnforcementOptions {
  readonly clock: Clock;
  readonly wallNow: () => number;
  /** Never rejects. */
  readonly deny: (approval: StoredApproval) => Promise<DenialResult>;
  readonly isConnected: (environmentId: string) => boolean;
  /** A device has so many requests that are not remembered that one more denial is not repeated until it asks again. */
  readonly onDropped: (environmentId: string) => void;
}

/** Creates a {@link PolicyEnforcement}. */
export function createPolicyEnforcement(options: PolicyEnforcementOptions): PolicyEnforcement {
  const { clock, wallNow, deny, isConnected } = options;
  /** The timer of each request with a policy, also when it has fired. */
  const timers = new Map<RegisteredApproval, () => void>();
  /** When each is due, in monotonic time: a clock that is set does not move a deadline. */
  const deadlines = new Map<RegisteredApproval, number>();
  const running = new Set<RegisteredApproval>();
  let isClosed = false;

  const remainingMs = (registered: RegisteredApproval): number =>
    (deadlines.get(registered) ?? Number.POSITIVE_INFINITY) - clock.monotonic();

  const mayDeny = ({ scope }: StoredApproval): boolean => !isClosed && isConnected(scope.environmentId);
  const unregistered = createUnregisteredDenials({ ...options, mayDeny });

  function apply(registered: RegisteredApproval): void {
    const { approval, sent } = registered;
    if (remainingMs(registered) > 0 || !mayDeny(approval) || sent !== null || running.has(registered)) return;
    running.add(registered);
    void deny(approval).finally(() => {
      running.delete(registered);
      // The device may have had too much to acknowledge. One that was disconnected asks again.
      const isPending = registered.sent === null && timers.has(registered) && !isClosed;
      if (isPending && isConnected(approval.scope.environmentId)) applyLater(registered, denialRetryMs);
    });
  }

  function applyLater(registered: RegisteredApproval, delayMs: number): void {
    timers.set(
      registered,
      clock.setTimer(delayMs, () => {
        // Timers can fire a moment before their time.
        const earlyMs = remainingMs(registered);
        if (earlyMs > 0) applyLater(registered, earlyMs);
        else apply(registered);
      }),
    );
  }

  return {
    apply,
    applyUnregistered(approval, onSent) {
      if (approval.expiry !== null && approval.expiry.at <= wallNow()) unregistered.start(approval, onSent);
    },
    keepOnly: unregistered.keepOnly,
    disconnect: unregistered.cancelRow,
    schedule(registered) {
      unregistered.cancel(registered.approval);
      const { expiry, requestedAt } = registered.approval;
      if (expiry === null || isClosed) return;
      // A clock that was ahead when it was stored does not make it wait longer.
      const delayMs = Math.max(0, expiry.at - Math.max(requestedAt, wallNow()));
      deadlines.set(registered, clock.monotonic() + delayMs);
      applyLater(registered, delayMs);
    },
    cancel(registered) {
      timers.get(registered)?.();
      timers.delete(registered);
      deadlines.delete(registered);
    },
    close() {
      isClosed = true;
      for (const cancel of timers.values()) cancel();
      timers.clear();
      deadlines.clear();
      unregistered.close();
    },
  };
}
