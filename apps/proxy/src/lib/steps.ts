/**
 * A pipeline of named steps. Each step receives what earlier steps found out about a request, and either adds to it or
 * refuses the request. Steps run synchronously until one returns a promise, so that a response from memory never waits.
 */
import { mapMaybe, type MaybePromise } from "@letta-environments/platform";
import { type PlainResponse, refused, type Refused } from "@letta-environments/schema";

export { mapMaybe, type MaybePromise };

/** Runs work; `fail` turns an error or a rejection into a result. */
export function catchAll<Result>(
  run: () => MaybePromise<Result>,
  fail: (cause: unknown) => Result,
): MaybePromise<Result> {
  try {
    const result = run();
    return result instanceof Promise ? result.catch(fail) : result;
  } catch (cause) {
    return fail(cause);
  }
}

/** Steps that turn an exchange of type `Input` into one of type `Output`. Immutable: every method returns new steps. */
export interface Steps<Input extends object, Output extends object, Name extends string> {
  /** Appends a step that adds members to the exchange, or refuses the request. */
  add<Added extends object>(
    name: Name,
    run: (exchange: Output) => MaybePromise<Added | Refused>,
  ): Steps<Input, Output & Omit<Added, "kind">, Name>;
  /** Appends a step that lets the request pass with `null`, or ends the pipeline with a response. */
  check(name: Name, run: (exchange: Output) => MaybePromise<PlainResponse | null>): Steps<Input, Output, Name>;
  /** Appends the last step. Returns the pipeline: its result, or the response of the step that refused. */
  end<Result>(
    name: Name,
    run: (exchange: Output) => MaybePromise<Result>,
  ): (exchange: Input) => MaybePromise<Result | PlainResponse>;
}

/**
 * The function of a step: it receives the exchange, and returns what the step adds, a refusal, or `null` for a check that passed. The result of the
 * last step is the result of the pipeline.
 */
export type RunStep<Exchange extends object> = (exchange: Exchange) => MaybePromise<object | null>;

/** Wraps the function of a step, for observers. `Exchange` has the members that the first step receives. */
export type WrapStep<Name extends string, Exchange extends object> = (
  name: Name,
  run: RunStep<Exchange>,
) => RunStep<Exchange>;

/** Returns a wrapper that applies both, the second one directly around the step. */
export function composeWraps<Name extends string, Exchange extends object>(
  outer: WrapStep<Name, Exchange>,
  inner: WrapStep<Name, Exchange> | undefined,
): WrapStep<Name, Exchange> {
  return inner === undefined ? outer : (name, run) => outer(name, inner(name, run));
}

/** Starts a pipeline without steps. Without `wrap` the steps run unwrapped. */
export function startSteps<Input extends object, Name extends string = string>(
  wrap?: WrapStep<Name, Input>,
): Steps<Input, Input, Name> {
  return createSteps([], wrap);
}

function createSteps<Input extends object, Output extends object, Name extends string>(
  steps: readonly RunStep<Input>[],
  wrap: WrapStep<Name, Input> = (_name, run) => run,
): Steps<Input, Output, Name> {
  const append = <Next extends object>(name: Name, run: RunStep<Input>): Steps<Input, Next, Name> =>
    createSteps([...steps, wrap(name, run)], wrap);
  return {
    // All earlier steps have run, so the exchange has the members that its type promises.
    add: (name, run) => append(name, (exchange) => run(exchange as Input & Output)),
    check: (name, run) => append(name, (exchange) => mapMaybe(run(exchange as Input & Output), toRefused)),
    end<Result>(name: Name, run: (exchange: Output) => MaybePromise<Result>) {
      // The last step neither refuses nor adds anything; it has the type of the others only for the wrapper.
      const last = wrap(name, run as unknown as RunStep<Input>) as (exchange: Input) => MaybePromise<Result>;
      return (exchange: Input) =>
        mapMaybe<Input | Refused, Result | PlainResponse>(runFrom(steps, 0, exchange), (outcome) =>
          isRefused(outcome) ? outcome.response : last(outcome),
        );
    },
  };
}

/** Whether the result of a step ends the pipeline. */
export function isRefused(outcome: object): outcome is Refused {
  return "kind" in outcome && outcome.kind === "refused";
}

function runFrom<Input extends object>(
  steps: readonly RunStep<Input>[],
  start: number,
  exchange: Input,
): MaybePromise<Input | Refused> {
  let complete = exchange;
  for (let index = start; index < steps.length; index++) {
    const added = steps[index]?.(complete) ?? null;
    if (added instanceof Promise) {
      const reached = complete;
      return added.then((late) => {
        if (late !== null && isRefused(late)) return late;
        return runFrom(steps, index + 1, late === null ? reached : Object.assign(reached, late));
      });
    }
    if (added === null) continue;
    if (isRefused(added)) return added;
    complete = Object.assign(complete, added);
  }
  return complete;
}

function toRefused(response: PlainResponse | null): Refused | null {
  return response === null ? null : refused(response);
}
