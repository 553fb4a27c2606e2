import { jsonResponse, problemResponse } from "@letta-environments/schema";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { EntryKind, RequestedEntry } from "./entries.ts";
import { classifyRequest, replayResponse, toStoredResult } from "./repeats.ts";
import type { KnownEntry } from "./store.ts";

const entry = (kind: EntryKind, name: string, fingerprint = "f"): RequestedEntry => ({
  kind,
  id: `${kind}:${name}`,
  fingerprint,
  member: name,
});
const inProgress = { kind: "in_progress" } as const;
const known = ({ id, fingerprint }: RequestedEntry, sendId = "send-1"): KnownEntry => ({
  id,
  fingerprint,
  sendId,
  state: inProgress,
});

const [a, b] = [entry("message", "a"), entry("message", "b")];
const decision = entry("decision", "call");
const key = entry("key", "k");

test("a request without known ids is new", () => {
  expect(classifyRequest([a, b, key], [])).toEqual({ kind: "new" });
});

test.each([
  ["all its ids are those of one send", [a, b], [known(a), known(b)]],
  ["only its Idempotency-Key is new", [a, key], [known(a)]],
  ["its Idempotency-Key is known too", [a, key], [known(a), known(key)]],
])("a request is a repeat when %s", (_when, requested, inUse) => {
  expect(classifyRequest(requested, inUse)).toEqual({ kind: "repeat", state: inProgress });
});

test.each([
  ["some of its ids are known", [a, b], [known(b)], ["b"]],
  ["its ids are those of two sends", [a, b], [known(a), known(b, "send-2")], ["a", "b"]],
  ["an id was used for another body", [a], [known(entry("message", "a", "other"))], ["a"]],
  ["its Idempotency-Key was used for another body", [a, key], [known(entry("key", "k", "other"))], ["k"]],
  ["its Idempotency-Key is known and its message is not", [a, key], [known(key)], ["k"]],
])("a request is a conflict when %s, and names them", (_when, requested, inUse, names) => {
  const found = classifyRequest(requested, inUse);
  expect([found.kind, "entries" in found && found.entries.map(({ member }) => member)]).toEqual(["conflict", names]);
});

test("a request with a different decision on a known tool call is refused as already decided, whatever else it contains", () => {
  const other = known(entry("decision", "call", "other"));
  expect(classifyRequest([decision], [other])).toEqual({ kind: "decided", entries: [decision] });
  expect(classifyRequest([a, decision, key], [known(a), other])).toEqual({ kind: "decided", entries: [decision] });
});

describe("a decision on a request", () => {
  const toolCall = entry("tool_call", "call");
  const requested = [toolCall, { ...entry("decision", "5:call"), member: "call" }] as const;
  const [, request] = requested;
  const otherRequest = known(entry("tool_call", "call", "other"), "send-2");

  test("is new when only another request of its tool call was decided", () => {
    expect(classifyRequest(requested, [otherRequest])).toEqual({ kind: "new" });
  });

  test.each([
    ["it was sent", [known(toolCall), known(request)]],
    ["it was sent by an earlier version, which knew the tool call only", [known(toolCall)]],
    ["it was sent after another request of its tool call was decided", [otherRequest, known(request)]],
  ])("is a repeat when %s", (_when, inUse) => {
    expect(classifyRequest(requested, inUse)).toEqual({ kind: "repeat", state: inProgress });
  });

  test("is refused when the request was decided otherwise", () => {
    const inUse = [otherRequest, known({ ...request, fingerprint: "other" })];
    expect(classifyRequest(requested, inUse)).toEqual({ kind: "decided", entries: [request] });
  });
});

describe("sends and requests in any order", () => {
  const names = fc.uniqueArray(fc.constantFrom("a", "b", "c"), { minLength: 1 });
  const body = fc.record({ names, content: fc.constantFrom("x", "y"), kind: fc.constantFrom("message", "decision") });
  const keys = fc.option(fc.constantFrom("k", "l"), { nil: null });
  const request = fc.record({ body, key: keys });
  type Request = typeof request extends fc.Arbitrary<infer Value> ? Value : never;

  function entriesOf({ body: { names: ids, content, kind }, key: name }: Request): RequestedEntry[] {
    const whole = `${content} ${ids.join()} ${kind}`;
    const fingerprint = kind === "message" ? whole : content;
    const entries = ids.map((id) => entry(kind === "message" ? "message" : "decision", id, fingerprint));
    return name === null ? entries : [...entries, entry("key", name, whole)];
  }

  test("no id is sent twice, and a repeat receives the result of a send with the same ids and content", () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 12 }), (requests) => {
        const store = new Map<string, KnownEntry>();
        const sent: RequestedEntry[][] = [];
        for (const each of requests) {
          const entries = entriesOf(each);
          const found = classifyRequest(
            entries,
            entries.flatMap(({ id }) => store.get(id) ?? []),
          );
          const contentIds = entries.filter(({ kind }) => kind !== "key");
          if (found.kind === "new") {
            expect(entries.some(({ id }) => store.has(id))).toBe(false);
            const state = { kind: "finished", result: { status: sent.length, headers: {}, body: "" } } as const;
            for (const { id, fingerprint } of entries) {
              store.set(id, { id, fingerprint, sendId: `send-${sent.length}`, state });
            }
            sent.push(contentIds);
          } else if (found.kind === "repeat") {
            const index = found.state.kind === "finished" ? found.state.result.status : -1;
            const content = sent[index] ?? [];
            // Each id of the request was part of that send, with the same content.
            for (const { id, fingerprint } of contentIds) {
              expect(content.find((one) => one.id === id)?.fingerprint).toBe(fingerprint);
            }
            if (each.body.kind === "message") expect(contentIds).toEqual(content);
          } else {
            expect(found.entries.length).toBeGreaterThan(0);
            expect(found.entries.every(({ id }) => store.has(id))).toBe(true);
          }
        }
      }),
    );
  });
});

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
