import { onAbort } from "./adapters/platform.ts";
import { checkRecord } from "./check.ts";
import { createError } from "./error.ts";
import { checkSignal, type RequestOptions } from "./options.ts";

/**
 * Creates a generator whose `return` takes effect immediately. An ordinary generator's `return` waits for the current request or pause. After an
 * abort, not even items that have already arrived are yielded: `start` receives the error `aborted` at its `yield`. Lists must therefore be yielded
 * item by item, without `yield*`.
 *
 * @param options the caller's options, whose `signal` also ends the iteration
 * @param start receives the options with a signal that is aborted by `return`, by the caller's signal and at the end
 */
export function abortable<Options extends Pick<RequestOptions, "signal">, Value>(
  options: Options,
  start: (options: Options & { readonly signal: AbortSignal }) => AsyncGenerator<Value, void, undefined>,
): AsyncGenerator<Value, void, undefined> {
  const ending = new AbortController();
  let isLeft = false;
  const values = (async function* (): AsyncGenerator<Value, void, undefined> {
    checkRecord("options", options);
    const { signal } = options;
    checkSignal(signal);
    const unfollow = onAbort(signal, () => ending.abort(signal?.reason));
    try {
      const started = start({ ...options, signal: ending.signal });
      for await (const value of started)
        if (ending.signal.aborted)
          await started.throw(createError("aborted", { message: "aborted by the caller", cause: signal?.reason }));
        else yield value;
    } catch (error) {
      // The request that was ended has failed, which no longer matters.
      if (!isLeft) throw error;
    } finally {
      unfollow();
      ending.abort();
    }
  })();
  const end = values.return.bind(values);
  values.return = (value) => {
    isLeft = true;
    ending.abort();
    return end(value);
  };
  return values;
}
