import { describe, expect, test } from "vitest";
import { type Endpoint, endpoints, MessageStatusSchema, type Operation } from "../src/index.ts";
import outline from "./api-outline.json" with { type: "json" };
import { type FieldMap, outlineFields, type OutlineObject, type OutlineType } from "./outline-fields.ts";
import { type LazyExamples, schemaFields } from "./schema-fields.ts";

interface Difference {
  readonly api: string;
  readonly ours: string;
  readonly reason: string;
}

const offline = "null while the device is offline, as the official SDKs and real devices show";
const sdkNull = "the official SDKs send null";
const openMode = "a newer mode must not make a whole list unreadable";

const extension = "servers of ours have more; the official SDKs ignore unknown members";

const environmentDifferences: Readonly<Record<string, Difference>> = {
  displayName: { api: "absent", ours: "optional string", reason: extension },
  tags: { api: "absent", ours: "optional array", reason: extension },
  "tags[]": { api: "absent", ours: "each string", reason: extension },
  connectedAt: { api: "required number", ours: "required number | null", reason: offline },
  connectionId: { api: "required string", ours: "required string | null", reason: offline },
  lastHeartbeat: { api: "required number", ours: "required number | null", reason: offline },
  podId: { api: "required string", ours: "required string | null", reason: offline },
  currentMode: {
    api: 'optional "default" | "standard" | "acceptEdits" | "bypassPermissions" | "unrestricted"',
    ours: 'optional "default" | "standard" | "acceptEdits" | "bypassPermissions" | "unrestricted" | string',
    reason: openMode,
  },
  listenerInstanceId: { api: "absent", ours: "optional string", reason: "rows have it, and clients read it" },
  pendingApprovals: { api: "absent", ours: "optional number", reason: extension },
  sendProblem: { api: "absent", ours: 'optional "agents_api_missing" | string', reason: extension },
};

/** The status of a message, which the vendor does not have. */
const reportedStatus: Readonly<Record<string, Difference>> = Object.fromEntries(
  [...schemaFields(MessageStatusSchema)]
    .filter(([path]) => path !== "")
    .map(([path, ours]) => [`outcome.${path}`, { api: "absent", ours, reason: extension }]),
);

const approvals = "messages[]<approval>.approvals[]";

/** Every intended difference from the API text, by `operation part` and path. */
const differences: Readonly<Record<string, Readonly<Record<string, Difference>>>> = {
  "listEnvironments query": {
    onlineOnly: {
      api: "optional string",
      ours: 'optional "true" | "false"',
      reason: "any other string would silently count as one of the two",
    },
    tag: { api: "absent", ours: "optional array", reason: extension },
    "tag[]": { api: "absent", ours: "each string", reason: extension },
  },
  "listEnvironments response": Object.fromEntries(
    Object.entries(environmentDifferences).map(([path, difference]) => [`connections[].${path}`, difference]),
  ),
  "retrieveEnvironment response": environmentDifferences,
  "sendMessage body": {
    conversationId: { api: "optional string", ours: "optional string | null", reason: sdkNull },
    [`${approvals}<return>.stderr`]: { api: "optional array", ours: "optional array | null", reason: sdkNull },
    [`${approvals}<return>.stdout`]: { api: "optional array", ours: "optional array | null", reason: sdkNull },
    [`${approvals}<decision>.reason`]: { api: "optional string", ours: "optional string | null", reason: sdkNull },
    [`${approvals}<decision>.requested_at`]: { api: "absent", ours: "optional number | null", reason: extension },
    [`${approvals}<decision>.selected_permission_suggestion_ids`]: {
      api: "absent",
      ours: "optional array | null",
      reason: extension,
    },
    [`${approvals}<decision>.selected_permission_suggestion_ids[]`]: {
      api: "absent",
      ours: "each string",
      reason: extension,
    },
    [`${approvals}<decision>.updated_input`]: { api: "optional map", ours: "optional map | null", reason: sdkNull },
  },
  "sendMessage response": {
    disposition: { api: "absent", ours: 'optional "started" | "queued" | string', reason: extension },
    ...reportedStatus,
    outcome: { api: "absent", ours: "optional object", reason: extension },
  },
};

const text = { text: "text", parts: [] };
const lazyExamples: LazyExamples = {
  "messages[]": { user: { role: "user" }, approval: { type: "approval" } },
  "messages[]<user>.content": text,
  [approvals]: { return: { status: "success" }, decision: { approve: true } },
  [`${approvals}<return>.tool_return`]: text,
};

const types = outline.types as unknown as Readonly<Record<string, OutlineObject>>;
const operations = outline.operations as unknown as Readonly<
  Partial<Record<Operation, Readonly<Record<"query" | "body" | "response", OutlineObject | undefined>>>>
>;

function findDifferences(api: FieldMap, ours: FieldMap): Record<string, Omit<Difference, "reason">> {
  const paths = new Set([...api.keys(), ...ours.keys()]);
  return Object.fromEntries(
    [...paths]
      .map((path) => [path, { api: api.get(path) ?? "absent", ours: ours.get(path) ?? "absent" }] as const)
      .filter(([, difference]) => difference.api !== difference.ours),
  );
}

function withoutReasons(listed: Readonly<Record<string, Difference>>): Record<string, Omit<Difference, "reason">> {
  return Object.fromEntries(Object.entries(listed).map(([path, { api, ours }]) => [path, { api, ours }]));
}

describe("fields of the API text", () => {
  const parts = Object.entries(operations).flatMap(([operation, described]) =>
    (["query", "body", "response"] as const).map((part) => ({ operation: operation as Operation, part, described })),
  );

  test.each(parts)(
    "the schema has every field of the API text, and differs only where a reason is listed: $operation $part",
    ({ operation, part, described }) => {
      const wanted = described[part];
      const schema = endpoints[operation][part];
      expect(schema === null).toBe(wanted === undefined);
      if (wanted === undefined) return;
      const type: OutlineType = typeof wanted["type"] === "string" ? { type: wanted["type"] } : { object: wanted };
      const found = findDifferences(outlineFields(type, types), schemaFields(schema, lazyExamples));
      expect(found).toEqual(withoutReasons(differences[`${operation} ${part}`] ?? {}));
    },
  );

  test("every difference from the API text has a reason", () => {
    const all = Object.values(differences).flatMap((listed) => Object.values(listed));
    expect(all.every(({ reason }) => reason.length > 10)).toBe(true);
    expect(all).toHaveLength(58);
  });
});

test("the endpoint table has exactly the caller operations of the API text, besides its extensions, with their methods and paths", () => {
  const ours = Object.values(endpoints)
    .filter((endpoint: Endpoint) => endpoint.audience === "caller" && endpoint.extension !== true)
    .map(({ operation, method, path, params }) => ({ operation, method, path, params }));
  const api = Object.entries(outline.operations).map(([operation, { method, path, params }]) => ({
    operation,
    method,
    path,
    params,
  }));
  expect(ours).toEqual(api);
});

describe("detection of differences", () => {
  const outlineOf = (object: OutlineObject): FieldMap => outlineFields({ object }, types);

  test("the comparison fails if the schema lacks a field, has an extra one, or differs in presence or type", () => {
    const full = outlineOf({ a: "string", "b?": { enum: ["x"] }, c: { array: "number" } });
    expect(findDifferences(full, outlineOf({ a: "string", "b?": { enum: ["x"] } }))).toEqual({
      c: { api: "required array", ours: "absent" },
      "c[]": { api: "each number", ours: "absent" },
    });
    const other = outlineOf({ "a?": "string", "b?": { enum: ["x", "y"] }, c: { array: "string" }, d: "string" });
    expect(Object.keys(findDifferences(full, other))).toEqual(["a", "b", "c[]", "d"]);
  });

  test("the comparison fails if a lazy schema has no example inputs", () => {
    expect(() => schemaFields(endpoints.sendMessage.body)).toThrow("no example inputs");
  });
});
