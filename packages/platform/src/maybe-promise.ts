/**
 * Values that are often known at once, such as from memory. Code that continues with them without `await` stays synchronous then, and costs no
 * microtask.
 */

/** A value that is known at once, or later. */
export type MaybePromise<Value> = Value | Promise<Value>;

/** Applies a function to a value, or to the value of a promise. */
export function mapMaybe<Value, Result>(
  value: MaybePromise<Value>,
  map: (value: Value) => MaybePromise<Result>,
): MaybePromise<Result> {
  return value instanceof Promise ? value.then(map) : map(value);
}
