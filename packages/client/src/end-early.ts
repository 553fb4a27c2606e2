/**
 * Creates a generator whose `return` takes effect at once. By itself it would wait for the present request or pause.
 *
 * @param start receives a signal that is aborted by `return`
 */
export function endEarly<Value>(
  start: (left: AbortSignal) => AsyncGenerator<Value, void, undefined>,
): AsyncGenerator<Value, void, undefined> {
  const ending = new AbortController();
  const values = start(ending.signal);
  const end = values.return.bind(values);
  values.return = (value) => {
    ending.abort();
    return end(value);
  };
  return values;
}
