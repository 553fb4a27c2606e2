/**
 * Values that are often available immediately, such as from memory. Code that continues with them without `await` then stays synchronous, and
 * costs no microtask.
 */

/** A value that is available now, or later. */
export type MaybePromise<Value> = Value | Promise<Value>;

/** Applies a function to a value, or to the value of a promise. */
export function mapMaybe<Value, Result>(
  value: MaybePromise<Value>,
  map: (value: Value) => MaybePromise<Result>,
): MaybePromise<Result> {
  return value instanceof Promise ? value.then(map) : map(value);
}
