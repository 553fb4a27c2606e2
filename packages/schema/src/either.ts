import * as v from "valibot";

/** What {@link either} chooses between, for programs that read schemas, such as the generator of the guards. */
export interface Choice {
  readonly isFirst: (input: unknown) => boolean;
  readonly first: v.GenericSchema;
  readonly second: v.GenericSchema;
}

/**
 * One of two schemas, chosen by a look at the input, so that an error names the member that is wrong in the one that was meant
 * instead of every alternative.
 */
// @__NO_SIDE_EFFECTS__
export function either<First, Second>(
  isFirst: (input: unknown) => boolean,
  first: v.GenericSchema<unknown, First>,
  second: v.GenericSchema<unknown, Second>,
): v.GenericSchema<unknown, First | Second> & Choice {
  const schema: v.GenericSchema<unknown, First | Second> = v.lazy((input) => (isFirst(input) ? first : second));
  return Object.assign(schema, { isFirst, first, second });
}
