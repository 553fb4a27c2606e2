/** The error responses of an operation in the OpenAPI document: one response per status, with an example for each problem code. */
import { problemBody, type ProblemCode, problemCodes, problemDefinitions } from "../../src/index.ts";
import type { JsonSchema } from "../json-schema.ts";
import { headerReferences, timingHeader } from "./headers.ts";

const examplePrefix = "#/components/examples/";

/**
 * Returns the responses of some problem codes by status.
 *
 * @param headers names of headers that they have besides those of every problem
 */
export function problemResponses(codes: readonly ProblemCode[], headers: readonly string[] = []): JsonSchema {
  const unique = [...new Set(codes)];
  const statuses = new Set(unique.map((code) => problemDefinitions[code].status));
  // An object with such keys is in their order.
  return Object.fromEntries(
    [...statuses].map((status) => [
      status,
      problemResponse(
        status,
        unique.filter((code) => problemDefinitions[code].status === status),
        headers,
      ),
    ]),
  );
}

function problemResponse(status: number, codes: readonly ProblemCode[], headers: readonly string[]): JsonSchema {
  const isRepeatable = codes.some((code) => problemDefinitions[code].retryable);
  const examples = codes.map((code) => [code, { $ref: `${examplePrefix}${code}` }]);
  return {
    description: codes.map((code) => problemDefinitions[code].title).join("; "),
    headers: headerReferences([
      "x-request-id",
      "cache-control",
      "x-should-retry",
      ...(isRepeatable ? ["retry-after"] : []),
      ...(statusHeaders.get(status) ?? []),
      // Nothing is measured before the caller is known.
      ...headers.filter((name) => name !== timingHeader || (status !== 401 && status !== 405)),
    ]),
    content: {
      "application/problem+json": {
        schema: { $ref: "#/components/schemas/Problem" },
        examples: Object.fromEntries(examples),
      },
    },
  };
}

const statusHeaders: ReadonlyMap<number, readonly string[]> = new Map([
  [401, ["www-authenticate"]],
  [405, ["allow"]],
  [426, ["upgrade"]],
]);

/** Returns the examples to which the operations of a document refer. */
export function problemExamples(paths: unknown): JsonSchema {
  const text = JSON.stringify(paths);
  const used = problemCodes.filter((code) => text.includes(`"${examplePrefix}${code}"`));
  return Object.fromEntries(
    used.map((code) => [code, { summary: problemDefinitions[code].title, value: problemBody(code) }]),
  );
}
