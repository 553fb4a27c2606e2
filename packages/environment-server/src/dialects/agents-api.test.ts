import { problemBody } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { saysAgentsApiMissing } from "./agents-api.ts";

test("the errors of turns without an agents API are recognised, as 0.32.18 and 0.25.9 report them", () => {
  const problem = problemBody("endpoint_not_found");
  expect(saysAgentsApiMissing(problem.detail)).toBe(true);
  expect(saysAgentsApiMissing(`404 ${problem.message}`)).toBe(true);
  expect(saysAgentsApiMissing(`404 ${JSON.stringify(problem).slice(0, 490)}`)).toBe(true);
});

test.each([
  "Agent agent-local-none not found",
  "404 {}",
  "No endpoints found for this model.",
  "endpoint_not_found",
  "",
])("another error is not taken for it: %s", (error) => {
  expect(saysAgentsApiMissing(error)).toBe(false);
});
