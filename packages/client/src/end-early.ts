import { onAbort } from "./adapters/platform.ts";

/**
 * Creates a generator whose `return` takes effect at once. By itself it would wait for the present request or pause.
 *
 * @param start receives a signal that is aborted by `return` and at the end, and a function that makes it follow the caller's signal too
 */
export function endEarly<Value>(
  start: (
    ending: AbortSignal,
    follow: (signal: AbortSignal | null | undefined) => void,
  ) => AsyncGenerator<Value, void, undefined>,
): AsyncGenerator<Value, void, undefined> {
  const ending = new AbortController();
  const abort = (): void => ending.abort();
  let unfollow = (): void => undefined;
  const values = (async function* (): AsyncGenerator<Value, void, undefined> {
    try {
      yield* start(ending.signal, (signal) => void (unfollow = onAbort(signal, abort)));
    } finally {
      unfollow();
      abort();
    }
  })();
  const end = values.return.bind(values);
  values.return = (value) => {
    abort();
    return end(value);
  };
  return values;
}
