import { jsonResponse, problemResponse } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { toStoredResult, replayResponse } from "./result.ts";

test("a repeat receives status and body of the first response, without the fields that belong to one request", () => {
  const first = jsonResponse(200, { success: true, message: "ok" }, { ratelimit: '"a";r=1', "retry-after": "9" });
  const repeat = replayResponse({ kind: "finished", result: toStoredResult(first) });
  expect(repeat).toMatchObject({ status: 200, body: first.body });
  expect(repeat?.headers).toEqual({ "content-type": "application/json", "idempotency-replayed": "true" });
});

test("a repeat of a failed send receives the same x-should-retry", () => {
  const repeat = replayResponse({ kind: "finished", result: toStoredResult(problemResponse("input_rejected")) });
  expect(repeat).toMatchObject({ status: 409, headers: { "x-should-retry": "false", "idempotency-replayed": "true" } });
});

test("a repeat of a send without a known outcome is 504, and nothing repeats it", () => {
  const repeat = replayResponse({ kind: "unknown" });
  expect(repeat).toMatchObject({ status: 504, headers: { "x-should-retry": "false", "idempotency-replayed": "true" } });
  expect(replayResponse({ kind: "in_progress" })).toBe(null);
});

test("a long success is kept with the members of the API alone, and with at most 16 KiB", () => {
  const long = { success: false, message: "m".repeat(20_000), disposition: "queued", other: "o".repeat(20_000) };
  const { body } = toStoredResult({ status: 200, headers: {}, body: new TextEncoder().encode(JSON.stringify(long)) });
  expect(body.length).toBeLessThan(16_384);
  expect(JSON.parse(body)).toEqual({ success: false, message: "m".repeat(4_096), disposition: "queued" });
});
