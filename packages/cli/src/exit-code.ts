/** The exit codes of the program, and the failures that cause each. README.md lists them. */
import type { LettaEnvironmentsError, TurnOutcome } from "@letta-environments/client";

/** Exit codes by meaning. */
export const exitCodes = {
  done: 0,
  failed: 1,
  /** The command line or the environment breaks a rule; nothing was sent. */
  misused: 2,
  /** The device is offline; nothing was sent. */
  offline: 3,
  /** The server or the device refused it; nothing was done. */
  refused: 4,
  /** The device may have received the message, or the end of its turn is unknown. Repeating it with its message id returns the outcome. */
  unknown: 5,
  notFound: 6,
  /** The request did not reach a device; the same command is safe to repeat, and may succeed later. */
  later: 7,
  /** The device took the message, and its turn failed. */
  turnFailed: 8,
  /** The device took the message, and its turn was stopped, or the message was removed from the queue. */
  turnStopped: 9,
  hungUp: 129,
  interrupted: 130,
  terminated: 143,
} as const;

const bySignal: Readonly<Record<string, number>> = { SIGHUP: exitCodes.hungUp, SIGTERM: exitCodes.terminated };

/** The exit code after a signal of the user: 128 plus the number of the signal, as in shells. */
export function exitCodeOfSignal(name: unknown): number {
  return bySignal[String(name)] ?? exitCodes.interrupted;
}

/** The exit code after a turn that was followed. */
export const exitCodeOfTurn: Readonly<Record<TurnOutcome, number>> = {
  finished: exitCodes.done,
  failed: exitCodes.turnFailed,
  cancelled: exitCodes.turnStopped,
  evicted: exitCodes.turnStopped,
  unfinished: exitCodes.unknown,
  unknown: exitCodes.unknown,
};

/** Codes whose meaning does not depend on the status of the response. */
const byCode: Readonly<Record<string, number>> = {
  invalid_argument: exitCodes.misused,
  ambiguous_device: exitCodes.misused,
  device_offline: exitCodes.offline,
  connection_replaced: exitCodes.offline,
  environment_not_found: exitCodes.notFound,
  connection_not_found: exitCodes.notFound,
  approval_not_found: exitCodes.notFound,
  agents_api_missing: exitCodes.refused,
  input_rejected: exitCodes.refused,
  approvals_unsupported: exitCodes.refused,
  approval_decided: exitCodes.refused,
  agent_required: exitCodes.misused,
  message_id_reused: exitCodes.misused,
  delivery_unknown: exitCodes.unknown,
  control_unknown: exitCodes.unknown,
  control_rejected: exitCodes.refused,
  mode_not_set: exitCodes.refused,
  // Servers respond with these before they do anything.
  upstream_timeout: exitCodes.later,
  upstream_unreachable: exitCodes.later,
  audit_unavailable: exitCodes.later,
  idempotency_unavailable: exitCodes.later,
  issuer_unavailable: exitCodes.later,
  key_store_unavailable: exitCodes.later,
  limits_unavailable: exitCodes.later,
  overloaded: exitCodes.later,
  shutting_down: exitCodes.later,
  storage_unavailable: exitCodes.later,
};

const byStatus: Readonly<Record<number, number>> = {
  400: exitCodes.misused,
  401: exitCodes.refused,
  403: exitCodes.refused,
  413: exitCodes.misused,
  422: exitCodes.misused,
  429: exitCodes.later,
};

type FailedRequest = Pick<LettaEnvironmentsError, "code" | "status" | "problem" | "outcome">;

/** Statuses that a server, or a gateway in front of it, returns while it cannot respond to a read. */
const temporary: ReadonlySet<number | undefined> = new Set([undefined, 408, 502, 503, 504]);

/** Codes of responses that the device itself gave. */
const ofDevice: ReadonlySet<string> = new Set(["input_rejected", "approval_decided", "control_rejected"]);

/** The exit code for a failed request. @param mayBeDelivered whether it carried something that the device may have received */
export function exitCodeOf({ code, status, problem, outcome }: FailedRequest, mayBeDelivered: boolean): number {
  if (mayBeDelivered && problem?.delivery === "unknown") return exitCodes.unknown;
  // The outcome covers all attempts. The device's own refusal settles it.
  if (mayBeDelivered && outcome === "unknown" && !ofDevice.has(code)) return exitCodes.unknown;
  // A server may send any code, such as `constructor`, which every object inherits.
  const known = Object.hasOwn(byCode, code) ? byCode[code] : byStatus[status ?? 0];
  if (known !== undefined) return known;
  // No response, an unreadable one, or a failure behind a gateway.
  if (mayBeDelivered) return exitCodes.unknown;
  return temporary.has(status) ? exitCodes.later : exitCodes.failed;
}
