import type { ValkeyAddress } from "../parse-valkey-url.ts";
import { ValkeyError } from "../valkey.ts";

/** True for an error that the server answered with. */
export function isServerError(cause: unknown): cause is Error {
  return cause instanceof Error && cause.name === "ReplyError";
}

/**
 * A failure of the client as one that may be logged. The client's own errors carry the words of the command, AUTH included, and
 * a server repeats the words of a command that it does not know: neither is passed on.
 */
export function cleanFailure(cause: unknown, { password }: Pick<ValkeyAddress, "password">): Error {
  const text = messageOf(cause).replace(/,? with args beginning with[^]*$/, "");
  const clean = new Error(password === null ? text : text.replaceAll(password, "***"));
  if (isServerError(cause)) clean.name = "ReplyError";
  return clean;
}

/** A {@link ValkeyError} of what a command was rejected with. */
export function valkeyErrorOf(failure: unknown, address: ValkeyAddress): ValkeyError {
  if (failure instanceof ValkeyError) return failure;
  const cause = cleanFailure(failure, address);
  if (isServerError(failure)) return new ValkeyError("refused", `Valkey at ${address.label} refused`, { cause });
  return cause.message === "Command timed out"
    ? timedOut(address)
    : new ValkeyError("unreachable", `Valkey at ${address.label} cannot be reached`, { cause });
}

/** The {@link ValkeyError} of a command that waited too long, with what stood in its way, where that is known. */
export function timedOut(address: ValkeyAddress, failure: Error | null = null): ValkeyError {
  if (failure !== null) return valkeyErrorOf(failure, address);
  return new ValkeyError("timeout", `Valkey at ${address.label} did not answer in time`);
}

function messageOf(cause: unknown): string {
  // Several addresses of one name that all failed: the error on the whole has no text.
  if (cause instanceof AggregateError && cause.message === "") return cause.errors.map(messageOf).join("; ");
  return cause instanceof Error ? cause.message : String(cause);
}
