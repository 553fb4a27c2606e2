import { isLettaEnvironmentsError, type LettaEnvironmentsError } from "../src/index.ts";

/** Returns the error of this package that a call rejects with. Anything else fails the test. */
export async function catchError(call: Promise<unknown>): Promise<LettaEnvironmentsError> {
  const error = await call.then(
    () => new Error("the call must reject"),
    (reason: unknown) => reason,
  );
  if (isLettaEnvironmentsError(error)) return error;
  throw error;
}
