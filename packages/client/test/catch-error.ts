import { isLettaEnvironmentsError, type LettaEnvironmentsError } from "../src/index.ts";

/** The error with which a call rejects; anything else fails the test. */
export async function catchError(call: Promise<unknown>): Promise<LettaEnvironmentsError> {
  const error = await call.then(
    () => new Error("the call must reject"),
    (reason: unknown) => reason,
  );
  if (isLettaEnvironmentsError(error)) return error;
  throw error;
}
