/** How isolates call any Durable Object: the type of a stub, and the timeout. The methods are in the files of the objects. */
import type { Clock } from "@letta-environments/platform";

/** The methods of a Durable Object as its callers see them: the platform makes each result a promise. */
export type ObjectStub<Methods> = {
  [Name in keyof Methods]: Methods[Name] extends (...input: infer Input) => infer Result
    ? (...input: Input) => Promise<Awaited<Result>>
    : never;
};

/** How long a call waits for an object, in milliseconds. It may be on another continent. */
export const objectTimeoutMs = 5_000;

/**
 * Calls a Durable Object, and rejects when it does not respond in time: the platform itself lets a call wait for a busy object without a limit.
 * The object may still carry out the call.
 *
 * @param again repeats the call, within the same time limit, if the object was restarted during it, as happens with each deployment
 */
export function callObject<Result>(
  clock: Pick<Clock, "setTimer">,
  timeoutMs: number,
  call: () => Promise<Result>,
  again?: () => Promise<Result>,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    let isOver = false;
    const cancel = clock.setTimer(timeoutMs, () => {
      isOver = true;
      reject(new Error("the object did not respond in time"));
    });
    // A stub returns a thenable, not a `Promise`, and may throw.
    const running = (async () => {
      try {
        return await call();
      } catch (cause) {
        if (isOver || again === undefined || Object(cause).overloaded === true) throw cause;
        return again();
      }
    })();
    void running.then(resolve, reject).finally(cancel);
  });
}
