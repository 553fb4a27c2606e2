/**
 * Building blocks of the schemas. They extend valibot where its own schemas do not fit JSON from other programs: objects that
 * refuse arrays, enums that accept newer values, and unions whose errors name one member.
 */
import * as v from "valibot";
import { identifierRule, isIdentifier } from "./identifier.ts";
import { isRecord } from "./rules.ts";

/** The same members as in an interface. Unlike an interface, a mapped type is assignable to an index signature. */
type Members<Type> = { [Key in keyof Type]: Type[Key] };

/** The entries of an object schema: one schema for each member, `exactOptional` where the member is optional. */
export type WireEntries<Output extends object, Input extends { [Key in keyof Output]: unknown } = Output> = {
  readonly [Key in keyof Output]-?: Record<never, never> extends Pick<Output, Key>
    ? v.ExactOptionalSchema<v.GenericSchema<Required<Input>[Key], Required<Output>[Key]>, undefined>
    : v.GenericSchema<Input[Key], Output[Key]>;
};

/**
 * A loose object schema of valibot whose output is a documented interface. It works with `v.pick`, `v.omit` and `v.partial`,
 * and its `entries` can be spread into another schema.
 */
export interface WireObjectSchema<
  Output extends object,
  Input extends { [Key in keyof Output]: unknown } = Output,
> extends v.BaseSchema<Members<Input>, Members<Output>, v.BaseIssue<unknown>> {
  readonly type: "loose_object";
  readonly reference: typeof v.looseObject;
  readonly expects: "Object";
  readonly entries: WireEntries<Output, Input>;
  readonly message: undefined;
}

const RecordSchema = /* @__PURE__ */ v.custom<object>(isRecord, "must be an object");

/**
 * Creates a schema for a JSON object. It checks the known members, keeps unknown ones so that newer peers are not rejected,
 * and refuses arrays, which valibot's own object schemas accept.
 *
 * @param defineEntries Returns the entries. A function, so that bundlers can drop a schema that is not used: they keep nested
 * calls of valibot in the arguments of an unused call, but not those in a function.
 */
export function wireObject<const Entries extends v.ObjectEntries>(
  defineEntries: () => Entries,
): v.LooseObjectSchema<Entries, undefined> {
  const schema = v.looseObject(defineEntries());
  const runObject = schema["~run"];
  // valibot copies `~run` to picked and partial schemas and calls it as their method, so `this` has the entries to check.
  const run = function (this: typeof schema, ...[dataset, config]: Parameters<typeof runObject>) {
    return isRecord(dataset.value) ? runObject.call(this, dataset, config) : RecordSchema["~run"](dataset, config);
  };
  return Object.assign(schema, { "~run": run as typeof runObject });
}

/** The schemas that {@link either} selects from, for programs that read schemas, such as the generators. */
export interface Choice {
  readonly isFirst: (input: unknown) => boolean;
  readonly first: v.GenericSchema;
  readonly second: v.GenericSchema;
}

/**
 * Creates a schema that checks an input with one of two schemas, selected by a predicate. A union would report every
 * alternative; this reports only the rules of the selected schema.
 */
export function either<First extends v.GenericSchema, Second extends v.GenericSchema>(
  isFirst: (input: unknown) => boolean,
  first: First,
  second: Second,
): v.GenericSchema<v.InferInput<First | Second>, v.InferOutput<First | Second>> & Choice {
  const schema = v.lazy((input): First | Second => (isFirst(input) ? first : second));
  return Object.assign(schema, { isFirst, first, second });
}

/** A string type that suggests the known values and accepts any other, so that newer values are not rejected. */
export type OpenEnum<Known extends string> = Known | (string & {});

/** Creates a schema for {@link OpenEnum}. It accepts any string; `known` lists the known values. */
export function openEnum<const Known extends readonly string[]>(
  known: Known,
): v.GenericSchema<OpenEnum<Known[number]>> & { readonly known: Known } {
  return Object.assign(v.string(), { known });
}

/** An id that may be used in a path, see {@link isIdentifier}. */
export const IdentifierSchema: v.GenericSchema<string> = /* @__PURE__ */ identifier();

function identifier(): v.GenericSchema<string> {
  return v.pipe(v.string(), v.check<string, string>(isIdentifier, `must be ${identifierRule}`));
}
