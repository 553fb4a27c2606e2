import { problemResponse, refused } from "@letta-environments/schema";
import { expect, expectTypeOf, test } from "vitest";
import { type MaybePromise, startSteps } from "./steps.ts";

const refusal = problemResponse("insufficient_scope");

/** A pipeline of three steps whose second one is given. */
function pipelineWith(second: (exchange: { readonly id: number }) => MaybePromise<{ readonly name: string }>) {
  return startSteps<{ readonly id: number }>()
    .add("first", ({ id }) => ({ twice: id * 2 }))
    .add("second", second)
    .end("last", ({ id, twice, name }) => `${id} ${twice} ${name}`);
}

test("a step receives the members that earlier steps added, in its types too", () => {
  const run = pipelineWith(() => ({ name: "a" }));
  expect(run({ id: 1 })).toBe("1 2 a");
  expectTypeOf(
    startSteps<{ id: number }>()
      .add("first", () => ({ added: true }))
      .end("last", (exchange) => exchange),
  ).toBeCallableWith({ id: 1 });
});

test("steps run synchronously until one of them returns a promise", async () => {
  expect(pipelineWith(() => ({ name: "now" }))({ id: 1 })).toBe("1 2 now");
  const late = pipelineWith(() => Promise.resolve({ name: "later" }))({ id: 1 });
  expect(late).toBeInstanceOf(Promise);
  expect(await late).toBe("1 2 later");
});

test.each([
  ["synchronous", (): MaybePromise<typeof refusal> => refusal],
  ["asynchronous", (): MaybePromise<typeof refusal> => Promise.resolve(refusal)],
])("a %s refusal ends the pipeline, and no later step runs", async (_kind, refuse) => {
  const ran: string[] = [];
  const run = startSteps<object>()
    .check("refuses", refuse)
    .check("later", () => {
      ran.push("later");
      return null;
    })
    .end("last", () => void ran.push("last"));
  expect(await run({})).toBe(refusal);
  expect(ran).toEqual([]);
});

test("a step that adds members may refuse too", async () => {
  const run = startSteps<object>()
    .add("refuses", () => Promise.resolve(refused(refusal)))
    .end("last", () => "reached");
  expect(await run({})).toBe(refusal);
});

test("two pipelines that share their first steps do not affect each other", () => {
  const shared = startSteps<{ readonly id: number }>().add("shared", ({ id }) => ({ shared: id + 1 }));
  const left = shared.add("left", () => ({ left: true })).end("last", (exchange) => ({ ...exchange }));
  const right = shared.end("last", (exchange) => ({ ...exchange }));
  expect(left({ id: 1 })).toEqual({ id: 1, shared: 2, left: true });
  expect(right({ id: 1 })).toEqual({ id: 1, shared: 2 });
});

test("a step that fails makes the pipeline fail with the same error", async () => {
  const failure = new Error("step failed");
  const run = pipelineWith(() => Promise.reject(failure));
  await expect(run({ id: 1 })).rejects.toBe(failure);
});
