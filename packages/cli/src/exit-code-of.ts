import type { LettaEnvironmentsError } from "@letta-environments/client";
import { type ExitCode, exitCodes } from "./exit-code.ts";

/** Codes whose meaning does not depend on the status they came with. */
const byCode: Readonly<Record<string, ExitCode>> = {
  invalid_argument: exitCodes.misused,
  device_offline: exitCodes.offline,
  connection_replaced: exitCodes.offline,
  environment_not_found: exitCodes.notFound,
  connection_not_found: exitCodes.notFound,
  input_rejected: exitCodes.refused,
  approvals_unsupported: exitCodes.refused,
  agent_required: exitCodes.misused,
  message_id_reused: exitCodes.misused,
  delivery_unknown: exitCodes.unknown,
  // A server says these before it does anything.
  upstream_unreachable: exitCodes.later,
  audit_unavailable: exitCodes.later,
  issuer_unavailable: exitCodes.later,
  key_store_unavailable: exitCodes.later,
  limits_unavailable: exitCodes.later,
  shutting_down: exitCodes.later,
};

const byStatus: Readonly<Record<number, ExitCode>> = {
  400: exitCodes.misused,
  401: exitCodes.refused,
  403: exitCodes.refused,
  413: exitCodes.misused,
  422: exitCodes.misused,
  429: exitCodes.later,
};

/** Statuses of a read that a server, or a gateway before it, gives while it cannot answer. */
const passing: ReadonlySet<number | undefined> = new Set([undefined, 408, 502, 503, 504]);

/** The exit code for a failed request. @param mayBeTaken Whether it carried a message that the device may have taken all the same. */
export function exitCodeOf(
  { code, status }: Pick<LettaEnvironmentsError, "code" | "status">,
  mayBeTaken: boolean,
): ExitCode {
  const known = byCode[code] ?? byStatus[status ?? 0];
  if (known !== undefined) return known;
  // No answer, an answer that cannot be read, or a failure behind a gateway.
  if (mayBeTaken) return exitCodes.unknown;
  return passing.has(status) ? exitCodes.later : exitCodes.failed;
}
