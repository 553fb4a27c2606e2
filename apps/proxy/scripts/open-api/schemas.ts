/** JSON Schemas of the bodies that only the gateway has. Requests are derived from the schemas that decode them. */
import type { GenericSchema } from "valibot";
import { auditSchema, explanationSchema, objectOf, overviewSchema } from "./observation.ts";
import { described, type JsonSchema, wholeNumber } from "../../../../packages/schema/scripts/json-schema.ts";
import { inputSchema } from "./rules.ts";

const memberTexts: Readonly<Record<string, string>> = {
  id: "The id of the key, which a rotation does not change.",
  name: "A name for people.",
  description: "What the key is for.",
  owner: "Who is responsible for the key; its name when nobody is named.",
  tenant: "The tenant whose devices the key can use. Without it, that of the administering key.",
  scopes: "What the key may do.",
  deviceIds: "The only devices that the key may use; `null`: all.",
  connectionNames: "Patterns of the names of the only devices that the key may use; `null`: all.",
  deviceTags: "The device must also have at least one of these tags; `null`: no such rule.",
  agentIds: "The only agents to which the key may send; `null`: all.",
  maxMode: "The most permissive mode in which a device may be when the key sends to it; `null`: any.",
  setMode:
    "The mode to which a conversation is switched before a message of the key runs in it; `null`: it keeps its own.",
  deniedTools:
    "Patterns of the names of tools for which requests for permission are denied, in turns of the key's messages and on its devices; `null`: none.",
  approvalDeadlineMs:
    "How long such a request waits before it is denied, in milliseconds; `null`: until somebody decides.",
  shared: "Whether other keys of the tenant may take over the devices that this key enrols.",
  invite:
    "Makes the key an invitation with the scope `connect`, which belongs to the first device that uses it; `null`: the key is not an invitation. " +
    "If no device uses it until `expiresAt`, it ends. The device gets the `tags`.",
  rateLimits:
    "Overrides by the name of a policy, each as `LIMIT/WINDOW`, `LIMIT/WINDOW/BURST` or `none`; `null`: none.",
  requires: "Features that a gateway must support to accept the key.",
  createdAt: "When the key was created, in epoch milliseconds.",
  expiresAt: "When the key ends, in epoch milliseconds; `null`: never.",
  revokedAt: "When the key was revoked, in epoch milliseconds; `null`: it was not.",
  disabledAt: "When the key was disabled, in epoch milliseconds; `null`: it is not.",
  disabled: "Disables the key, or enables it again.",
  state: "Whether the key can be used.",
  lastUsedAt: "When the key was last used, in epoch milliseconds, up to 30 seconds late; `null`: never.",
  secrets: "The secrets of the key, the newest first; a second one while a rotation overlaps.",
  overlapMs: "How long the old secret stays valid, in milliseconds.",
  deviceId: "Purges the responses about this device and the lists that contain it.",
  group: "Purges all lists, or everything.",
  keyId: "The id of the key.",
  claims:
    "The claims of a token, as JSON, in place of `keyId`. A claim that is missing is taken for granted, but for those that name rights.",
  method: "The method of the request.",
  path: "The path of the request with its query, as on the wire.",
  body: "The body of the request; absent for none.",
};

/** Returns the JSON Schema of a request body, from the schema that decodes it. Its members have their texts. */
export function requestSchema(title: string, schema: GenericSchema): JsonSchema {
  const converted = inputSchema(schema);
  const properties = Object.entries(converted["properties"] ?? {}).map(([name, member]: [string, JsonSchema]) => [
    name,
    withListInText(described(member, textOf(name))),
  ]);
  return { title, ...converted, properties: Object.fromEntries(properties) };
}

/** Moves a default that is a list into the description: generated code would treat it as a list of arbitrary texts. */
function withListInText({ default: standard, ...schema }: JsonSchema): JsonSchema {
  if (!Array.isArray(standard)) return standard === undefined ? schema : { ...schema, default: standard };
  const items = standard.map((item) => `\`${item}\``).join(", ");
  return { ...schema, description: `${String(schema["description"])} By default ${items}.` };
}

/** A new member without a text fails the generation. */
function textOf(name: string): string {
  const text = memberTexts[name];
  if (text === undefined) throw new Error(`the member ${name} has no text in schemas.ts`);
  return text;
}

const orNull = (schema: JsonSchema): JsonSchema => ({ anyOf: [schema, { type: "null" }] });
const text: JsonSchema = { type: "string" };
const texts: JsonSchema = { type: "array", items: text };

function object(title: string, properties: Readonly<Record<string, JsonSchema>>): JsonSchema {
  return { title, ...objectOf(properties) };
}

/** A key as it is shown: `ShownKey`. */
const keyMembers: Readonly<Record<string, JsonSchema>> = {
  id: text,
  name: text,
  description: orNull(text),
  owner: text,
  tenant: text,
  scopes: texts,
  deviceIds: orNull(texts),
  connectionNames: orNull(texts),
  deviceTags: orNull(texts),
  agentIds: orNull(texts),
  maxMode: orNull(text),
  setMode: orNull(text),
  deniedTools: orNull(texts),
  approvalDeadlineMs: orNull(wholeNumber),
  shared: { type: "boolean" },
  invite: orNull(
    objectOf({ expiresAt: wholeNumber, tags: texts, usedAt: orNull(wholeNumber), connectionNames: orNull(texts) }),
  ),
  rateLimits: orNull({ type: "object", additionalProperties: text }),
  requires: texts,
  createdAt: wholeNumber,
  expiresAt: orNull(wholeNumber),
  revokedAt: orNull(wholeNumber),
  disabledAt: orNull(wholeNumber),
  state: { type: "string", enum: ["active", "disabled", "expired", "revoked", "unsupported"] },
  lastUsedAt: orNull(wholeNumber),
  secrets: { type: "array", items: objectOf({ createdAt: wholeNumber, expiresAt: orNull(wholeNumber) }) },
};

const describedKey: Readonly<Record<string, JsonSchema>> = Object.fromEntries(
  Object.entries(keyMembers).map(([name, schema]) => [name, { ...schema, description: textOf(name) }]),
);

/** A row of a device as it is shown: `ShownDevice`. */
const device: JsonSchema = object("DeviceRow", {
  id: described(text, "The id of the row."),
  deviceId: described(text, "The id of the device, which stays the same."),
  tenant: described(text, "The tenant that owns the device."),
  connectionName: described(text, "The name of the device."),
  displayName: described(orNull(text), "The name that was assigned to the device; `null`: none."),
  tags: described(texts, "The tags that were assigned to the device."),
  listenerInstanceId: described(text, "The listener of the device that the row is for."),
  ownerKeyId: described(orNull(text), "The key that owns the device; `null` when it is shared or released."),
  shared: described({ type: "boolean" }, "Whether any key of the tenant may enrol the device."),
  firstSeenAt: described(wholeNumber, "When the device was first enrolled, in epoch milliseconds."),
  lastSeenAt: described(wholeNumber, "When the device was last seen, in epoch milliseconds."),
  online: described(orNull({ type: "boolean" }), "Whether the device is connected; `null`: unknown."),
  connectionId: described(orNull(text), "The current connection; `null` while the device is offline."),
});
const deviceRows: JsonSchema = { type: "array", items: { $ref: "#/components/schemas/DeviceRow" } };

const milliseconds = (description: string): JsonSchema => ({ ...orNull(wholeNumber), description });

const policy: JsonSchema = {
  type: "object",
  required: ["name", "unit", "mode", "limit", "allowed", "remaining", "resetMs", "retryAfterMs", "degraded"],
  properties: {
    name: { ...text, description: "The name of the policy." },
    unit: { type: "string", enum: ["requests", "concurrent-requests"], description: "What is counted." },
    mode: { type: "string", enum: ["enforce", "shadow"], description: "`shadow`: reported only, and refuses nothing." },
    limit: { ...wholeNumber, description: "Units for each window, or requests at the same time." },
    windowMs: { ...wholeNumber, description: "The window in milliseconds, for requests." },
    burst: { ...wholeNumber, description: "Units that may be spent at once after a pause, for requests." },
    allowed: { type: "boolean", description: "Whether the operation would be allowed now." },
    remaining: { ...orNull(wholeNumber), description: "Units that can be spent now; `null`: unknown." },
    resetMs: milliseconds("When all units are regained, in milliseconds from now; `null`: unknown."),
    retryAfterMs: milliseconds("When the operation would be allowed, in milliseconds from now; `null`: now, or never."),
    degraded: {
      ...orNull(text),
      description: "How the policy was decided without its store; `null`: the store decided.",
    },
  },
};

/** The response bodies that only the gateway has. */
export const responseSchemas: Readonly<Record<string, JsonSchema>> = {
  Key: object("Key", describedKey),
  KeyWithSecret: object("KeyWithSecret", {
    ...describedKey,
    key: { ...text, description: "The key itself, which is shown only here." },
  }),
  KeyList: object("KeyList", {
    keys: { type: "array", items: { $ref: "#/components/schemas/Key" }, description: "The keys of the page." },
    hasNextPage: { type: "boolean", description: "Whether there is another page." },
  }),
  DeviceRow: device,
  Device: object("Device", { devices: described(deviceRows, "The rows of the device.") }),
  DeviceList: object("DeviceList", {
    devices: described(deviceRows, "The rows of the page."),
    hasNextPage: { type: "boolean", description: "Whether there is another page." },
  }),
  RateLimitReport: object("RateLimitReport", {
    operation: { ...text, description: "The operation that the report is about." },
    policies: {
      type: "array",
      items: policy,
      description: "The policies that apply to it; empty where nothing is limited.",
    },
  }),
  Overview: overviewSchema,
  Explanation: explanationSchema,
  AuditPage: auditSchema,
  Health: object("Health", {
    status: { type: "string", enum: ["alive", "ready"], description: "The process responds, or it accepts requests." },
  }),
};
