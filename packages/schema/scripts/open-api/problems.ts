/** The error responses of an operation in the OpenAPI document: one response per status, with an example for each problem code. */
import {
  messageDeduplicationHeader,
  problemBody,
  type ProblemCode,
  problemCodes,
  problemDefinitions,
} from "../../src/index.ts";
import type { JsonSchema } from "../json-schema.ts";
import { headerReferences, timingHeader } from "./headers.ts";

const examplePrefix = "#/components/examples/";

/**
 * Returns the responses of some problem codes by status.
 *
 * @param headers names of headers that they have besides those of every problem
 * @param otherContent content of other media types by status
 */
export function problemResponses(
  codes: readonly ProblemCode[],
  headers: readonly string[] = [],
  otherContent: Readonly<Record<number, JsonSchema>> = {},
): JsonSchema {
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
        otherContent[status],
      ),
    ]),
  );
}

function problemResponse(
  status: number,
  codes: readonly ProblemCode[],
  headers: readonly string[],
  otherContent: JsonSchema | undefined,
): JsonSchema {
  const isRepeatable = codes.some((code) => problemDefinitions[code].retryable || undecidedCodes.has(code));
  const examples = codes.map((code) => [code, { $ref: `${examplePrefix}${code}` }]);
  return {
    description: codes.map((code) => problemDefinitions[code].title).join("; "),
    headers: headerReferences([
      "x-request-id",
      "cache-control",
      "x-should-retry",
      ...(isRepeatable ? ["retry-after"] : []),
      ...(statusHeaders.get(status) ?? []),
      ...headers.filter((name) => canHave(name, status)),
    ]),
    content: {
      "application/problem+json": {
        schema: { $ref: "#/components/schemas/Problem" },
        examples: Object.fromEntries(examples),
      },
      ...otherContent,
    },
  };
}

/** Refusals that may be repeated if the device did not respond, so that its agent or its mode is not known. */
const undecidedCodes: ReadonlySet<ProblemCode> = new Set(["agent_not_allowed", "mode_not_allowed"]);

/** The headers of every response whose request was counted: also of a refused key. */
export const limitHeaders: readonly string[] = ["ratelimit", "ratelimit-policy", "ratelimit-degraded"];

/** Whether a response with a status can have a header. What adds it runs after the route is known, after the caller is known, or with what is stored. */
function canHave(name: string, status: number): boolean {
  if (limitHeaders.includes(name)) return status !== 405;
  // With 401 if the upstream refuses the caller's own key.
  if (name === timingHeader || name === "cache-status") return status !== 405;
  // Refused before the upstream receives the request.
  if (name === messageDeduplicationHeader) return !gatewayStatuses.has(status);
  // The outcomes of a send.
  if (name === "idempotency-replayed") return status === 409 || status === 504;
  return name !== "age" || status === 404;
}

const gatewayStatuses: ReadonlySet<number> = new Set([405, 412, 413, 415]);

const statusHeaders: ReadonlyMap<number, readonly string[]> = new Map([
  [401, ["www-authenticate"]],
  // If the key lacks a scope (RFC 6750 section 3.1).
  [403, ["www-authenticate"]],
  [405, ["allow"]],
  // If the body has a content coding, or a type that the method does not take (RFC 9110 section 15.5.16).
  [415, ["accept-encoding", "accept-patch"]],
  [426, ["upgrade", "sec-websocket-version"]],
]);

/** Returns the examples to which the operations of a document refer. */
export function problemExamples(paths: unknown): JsonSchema {
  const text = JSON.stringify(paths);
  const used = problemCodes.filter((code) => text.includes(`"${examplePrefix}${code}"`));
  return Object.fromEntries(
    used.map((code) => [code, { summary: problemDefinitions[code].title, value: problemBody(code) }]),
  );
}
