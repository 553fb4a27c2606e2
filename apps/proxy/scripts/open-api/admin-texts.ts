/** The texts of the API description for the administration. A new operation does not compile without one. */
import type { ProblemCode } from "@letta-environments/schema";
import type { AdminOperation } from "../../src/admin/endpoints.ts";
import { expositionTypes } from "../../src/metrics/endpoints.ts";
import { auditExample, explanationExample, type OptionalOperation, overviewExample } from "./observation.ts";
import { exampleDevice, exampleKey, exampleNewKey, examplePatch, exampleSecret } from "./admin-examples.ts";

/** The text of one operation of the administration. */
export interface AdminText {
  readonly summary: string;
  readonly description: string;
  readonly success: {
    readonly status: 200 | 201 | 204;
    readonly description: string;
    /** The name of the component that describes the body; absent: the response has none. */
    readonly schema?: string;
    readonly example?: unknown;
    /** Media types of a text; absent for JSON. */
    readonly textTypes?: readonly string[];
    /** Headers besides those of every response. */
    readonly headers?: readonly string[];
  };
  /** The schema component of the request body, and an example; absent for operations without a body. */
  readonly body?: { readonly schema: string; readonly example: unknown; readonly mediaTypes?: readonly string[] };
  /** Whether the operation takes `If-Match` and `If-None-Match`. */
  readonly isConditional?: boolean;
  readonly problems: readonly ProblemCode[];
}

const bodyProblems: readonly ProblemCode[] = ["malformed_json", "body_too_large", "unsupported_media_type"];
const changeProblems: readonly ProblemCode[] = [
  "invalid_id",
  "key_not_found",
  "precondition_failed",
  "audit_unavailable",
];
const deviceProblems: readonly ProblemCode[] = [
  "invalid_request",
  "invalid_id",
  "environment_not_found",
  "precondition_failed",
];
const aDevice = { status: 200, schema: "Device", example: { devices: [exampleDevice] } } as const;
const aKey = { status: 200, schema: "Key", example: exampleKey, headers: ["etag"] } as const;

/** The text of each operation. */
export const adminTexts: Readonly<Record<AdminOperation | OptionalOperation, AdminText>> = {
  listKeys: {
    summary: "List keys, by creation and then by id.",
    description: "A gateway key with scope `admin` lists the keys of its tenant, the operator those of every tenant.",
    success: {
      status: 200,
      description: "A page of keys.",
      schema: "KeyList",
      example: { keys: [exampleKey], hasNextPage: false },
    },
    problems: ["invalid_request", "precondition_failed"],
  },
  createKey: {
    summary: "Create a key.",
    description:
      "The response has the key itself, once; only a digest of it is stored. Do not repeat a request whose response was lost: " +
      "list the keys, revoke the unknown one, and create another. The new key has no more rights than the administering key.",
    body: { schema: "NewKey", example: exampleNewKey },
    success: {
      status: 201,
      description: "The new key.",
      schema: "KeyWithSecret",
      example: { ...exampleKey, key: exampleSecret },
      headers: ["etag", "location"],
    },
    problems: [
      "invalid_request",
      ...bodyProblems,
      "precondition_failed",
      "grant_not_allowed",
      "tenant_not_configured",
      "audit_unavailable",
    ],
  },
  retrieveKey: {
    summary: "Retrieve a key.",
    description: "Digests and the key itself are never shown. A use appears in `lastUsedAt` up to 30 seconds late.",
    isConditional: true,
    success: { ...aKey, description: "The key." },
    problems: ["invalid_request", "invalid_id", "key_not_found", "precondition_failed"],
  },
  updateKey: {
    summary: "Change a key.",
    description:
      "A JSON merge patch (RFC 7396): absent members stay, `null` removes a restriction, and lists are replaced whole. " +
      "A member that cannot be changed is an error, so that no change is made in part.",
    body: {
      schema: "KeyPatch",
      example: examplePatch,
      mediaTypes: ["application/merge-patch+json", "application/json"],
    },
    isConditional: true,
    success: { ...aKey, description: "The changed key." },
    problems: [
      "invalid_request",
      ...bodyProblems,
      ...changeProblems,
      "grant_not_allowed",
      "tenant_not_configured",
      "key_revoked",
      "key_damaged",
    ],
  },
  rotateKey: {
    summary: "Give a key a new secret.",
    description:
      "The id stays the same. The old secret stays valid for `overlapMs`; at most two secrets are valid at a time. " +
      "If the response was lost, rotate again.",
    body: { schema: "Rotation", example: { overlapMs: 600_000 } },
    isConditional: true,
    success: {
      ...aKey,
      description: "The key with its new secret.",
      schema: "KeyWithSecret",
      example: { ...exampleKey, key: exampleSecret },
    },
    problems: [
      "invalid_request",
      ...bodyProblems,
      ...changeProblems,
      "grant_not_allowed",
      "key_revoked",
      "key_damaged",
    ],
  },
  revokeKey: {
    summary: "Revoke a key.",
    description:
      "Ends every secret of the key for good, and its sockets. A repeat changes nothing and returns the same.",
    isConditional: true,
    success: { ...aKey, description: "The revoked key." },
    problems: ["invalid_request", ...changeProblems],
  },
  listDevices: {
    summary: "List the rows of devices, by id.",
    description:
      "A gateway key with scope `admin` lists the devices of its tenant that it may use, the operator those of every tenant. " +
      "A device has one row for each of its listeners.",
    success: {
      status: 200,
      description: "A page of rows.",
      schema: "DeviceList",
      example: { devices: [exampleDevice], hasNextPage: false },
    },
    problems: ["invalid_request", "precondition_failed"],
  },
  retrieveDevice: {
    summary: "Retrieve a device.",
    description: "Returns the rows of the device, one for each of its listeners.",
    success: { ...aDevice, description: "The rows of the device." },
    problems: deviceProblems,
  },
  releaseDevice: {
    summary: "Release a device, so that another key can enrol it.",
    description:
      "The device has no owner until a key of the tenant enrols it. A socket that is open stays open. A repeat changes nothing.",
    success: { ...aDevice, description: "The rows of the released device." },
    problems: [...deviceProblems, "grant_not_allowed", "audit_unavailable"],
  },
  removeDevice: {
    summary: "Remove a device.",
    description: "Removes every row of the device, closes its sockets and frees its name. It can register again.",
    success: { status: 204, description: "The device is removed." },
    problems: [...deviceProblems, "grant_not_allowed", "audit_unavailable"],
  },
  purgeCache: {
    summary: "Purge cached responses of a tenant.",
    description:
      "Purges the responses about one device, all lists, or everything. Without a body: everything of the own tenant.",
    body: { schema: "CachePurge", example: { group: "lists" } },
    success: { status: 204, description: "The responses are purged." },
    problems: ["invalid_request", ...bodyProblems, "precondition_failed", "grant_not_allowed"],
  },
  readMetrics: {
    summary: "Metrics for Prometheus.",
    description:
      "OpenMetrics text for callers that accept it, else the older text format. The figures are of the whole gateway. Not offered on Cloudflare Workers.",
    success: {
      status: 200,
      description: "The metrics.",
      textTypes: Object.values(expositionTypes),
      example: 'letta_gateway_cache_reads_total{outcome="hit"} 4\n',
    },
    problems: ["invalid_request"],
  },
  explainRequest: {
    summary: "Explain how a request with a key or a token is decided, rule by rule, without sending it.",
    description:
      "Runs the steps of the pipeline without their effects: nothing is sent, charged or recorded. The caller is a key (`keyId`) or what a token " +
      "would contain (`claims`), which is no credential. A gateway key with scope `admin` explains callers of its tenant whose rights are within its " +
      "own, the operator those of every tenant. Not offered on Cloudflare Workers.",
    body: { schema: "ExplainRequest", example: { keyId: "p8DxxlMoq9Es", method: "GET", path: "/v1/environments" } },
    success: { status: 200, description: "The explanation.", schema: "Explanation", example: explanationExample },
    problems: ["invalid_request", ...bodyProblems, "key_not_found"],
  },
  retrieveOverview: {
    summary: "Requests, hits, refusals, latency and devices of the last hour.",
    description:
      "Buckets of a minute since the start of the process, 60 at most; the last one is not over. The figures are of the whole gateway. " +
      "Not offered on Cloudflare Workers.",
    success: { status: 200, description: "The overview.", schema: "Overview", example: overviewExample },
    problems: ["invalid_request"],
  },
  searchAudit: {
    summary: "Search the audit log, the latest records first.",
    description:
      "A gateway key with scope `admin` finds the records of its tenant, the operator those of every tenant. A page can have fewer " +
      "records than `limit`, since a request reads a bounded number of them; `cursor` says whether there are older ones. " +
      "Not offered on Cloudflare Workers.",
    success: { status: 200, description: "A page of records.", schema: "AuditPage", example: auditExample },
    problems: ["invalid_request"],
  },
};

/** Descriptions and examples of the path parameters. */
export const adminPathParameters: Readonly<Record<string, { readonly description: string; readonly example: string }>> =
  {
    keyId: { description: "The id of a key: its part between the first two underscores.", example: "p8DxxlMoq9Es" },
    deviceId: { description: "The `deviceId` of a device.", example: exampleDevice.deviceId },
  };

/** Descriptions of the query parameters. */
export const adminQueryParameters: Readonly<Record<string, string>> = {
  limit: "The number of entries of a page.",
  after: "The id of the last entry of the previous page.",
  tenant: "The tenant; the operator can name any, a key only its own.",
  state: "Only keys in this state.",
  before: "Only records before this time, in epoch milliseconds: the `cursor` of the previous page.",
  key: "Only records of this key.",
  device: "Only records of this device.",
  event: "Only records of this type, or of the group `send`, `control`, `approval`, `key` or `device`.",
  outcome: "Only records with this outcome.",
};
