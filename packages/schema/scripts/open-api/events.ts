/**
 * Streams of events in the OpenAPI document: the data of each type of event as a component, from the interfaces of `event-stream.ts` and the
 * schemas of what is in them.
 */
import {
  type ApprovalEvent,
  ApprovalSchema,
  type DecidedApproval,
  type Environment,
  type EnvironmentEvent,
  EnvironmentSchema,
  eventStreamMediaType,
  type GapEvent,
  type MessageEvent,
  type OutputEvent,
} from "../../src/index.ts";
import { components, described, type JsonSchema, objectSchemaOf } from "../json-schema.ts";
import { descriptions, type InterfaceDescription } from "../read-descriptions.ts";
import type { Member, ObjectShape, Shape } from "../shape.ts";
import { shapeOf } from "../read-shape.ts";
import { eventExamples, eventIdExample } from "./examples.ts";

const text: JsonSchema = { type: "string" };
const textOrNull: JsonSchema = { anyOf: [text, { type: "null" }] };
const reference = (name: string): JsonSchema => ({ $ref: `${components.prefix}${name}` });
const oneOf = <Value extends string>(...values: readonly Value[]): JsonSchema => ({ type: "string", enum: values });

const device = { deviceId: text, connectionId: textOrNull };
const environment: Readonly<Record<keyof EnvironmentEvent, JsonSchema>> = {
  ...device,
  environment: reference("EnvironmentChange"),
  removed: { const: true },
};
const message: Readonly<Record<keyof MessageEvent, JsonSchema>> = { ...device, message: reference("MessageStatus") };
const approval: Readonly<Record<keyof ApprovalEvent, JsonSchema>> = {
  ...device,
  change: described(
    oneOf<ApprovalEvent["change"]>("requested", "decided", "withdrawn"),
    "`requested`: a device asks. `decided`: somebody or a policy has decided. `withdrawn`: the device no longer asks.",
  ),
  approval: {
    anyOf: [reference("PendingApproval"), reference("DecidedApproval")],
    description:
      "A `PendingApproval` if it is `requested`, a `DecidedApproval` if it is `decided`, and one of them if it is `withdrawn`.",
  },
};
const output: Readonly<Record<keyof OutputEvent, JsonSchema>> = {
  ...device,
  agentId: textOrNull,
  conversationId: text,
  delta: { type: "object", additionalProperties: true },
  subagentId: text,
};
const gap: Readonly<Record<keyof GapEvent, JsonSchema>> = {
  reason: oneOf<GapEvent["reason"]>("expired", "output_expired", "unknown", "lost"),
};
const events = { environment, message, approval, output, gap } as const;
const optional: readonly string[] = ["removed", "subagentId"];

/** `MessageEvent` for `message`. */
const nameOf = (type: string): string => `${type.charAt(0).toUpperCase()}${type.slice(1)}Event`;

/** The members of an environment that no event has. */
const unshown: readonly string[] = [
  ...(["apiKeyOwner", "lastHeartbeat", "lastSeenAt", "organizationId"] satisfies (keyof Environment)[]),
  ...(["pendingApprovals", "podId", "userId"] satisfies (keyof Environment)[]),
  "install_path",
];

/** The merge patches of an object and of those in it, innermost first. A member is `null` if it may be absent in the object. */
function patchSchemas(shape: Shape, required: readonly string[] = []): readonly JsonSchema[] {
  const { name, members } = asObject(shape);
  const shown = members.filter((member) => !unshown.includes(member.name));
  const inner = shown.flatMap((member) => (member.shape.kind === "object" ? patchSchemas(member.shape) : []));
  const changes = shown.map((member): Member => {
    const patched: Shape =
      member.shape.kind === "object" ? { ...member.shape, name: `${member.shape.name}Change` } : member.shape;
    const isRequired = required.includes(member.name);
    return {
      name: member.name,
      optional: !isRequired,
      shape: member.optional ? { kind: "nullable", inner: patched } : patched,
    };
  });
  const about = `What has changed of \`${name}\`, as a merge patch (RFC 7396): an absent member has not changed, and \`null\` removes one.`;
  return [...inner, partSchema(`${name}Change`, changes, { text: about, members: membersOf(name) })];
}

/** A request for permission in an event, before and after the decision on it. */
function approvalSchemas(): readonly JsonSchema[] {
  const { members } = asObject(shapeOf(ApprovalSchema));
  const without = (...names: readonly string[]) => members.filter(({ name }) => !names.includes(name));
  const decision: Readonly<Record<Exclude<keyof DecidedApproval, keyof typeof ApprovalSchema.entries>, Shape>> = {
    decision: { kind: "text", rules: [], known: ["allow", "deny"] },
    decidedBy: { kind: "text", rules: [], known: [] },
    decidedAt: { kind: "number" },
  };
  const decided = Object.entries(decision).map(([name, shape]): Member => ({ name, optional: false, shape }));
  return [
    partSchema("PendingApproval", without("ageMs"), {
      text: "A request for permission in an event. `requestedAt` says how long it has waited.",
      members: membersOf("Approval"),
    }),
    partSchema("DecidedApproval", [...without("ageMs", "expiresAt", "input", "inputTruncated"), ...decided], {
      text: "A request for permission, with the decision on it.",
      members: membersOf("DecidedApproval"),
    }),
  ];
}

function asObject(shape: Shape): ObjectShape {
  if (shape.kind !== "object") throw new Error("a part of an event must be an object");
  return shape;
}

const membersOf = (name: string): ReadonlyMap<string, string> => descriptions.get(name)?.members ?? new Map();

function partSchema(name: string, members: readonly Member[], about: InterfaceDescription): JsonSchema {
  return objectSchemaOf({ kind: "object", name, members }, components, about);
}

function eventSchema(type: keyof typeof events): JsonSchema {
  const title = nameOf(type);
  const about = descriptions.get(title);
  const members = Object.entries<JsonSchema>(events[type]);
  const properties = members.map(([name, schema]) => [
    name,
    described(schema, (about?.members ?? membersOf("DeviceEvent")).get(name)),
  ]);
  return {
    title,
    description:
      about?.text ??
      `Data of an event \`${type}\`: a request for permission, as it is now. The later event of an \`id\` replaces the earlier one.`,
    type: "object",
    required: members.map(([name]) => name).filter((name) => !optional.includes(name)),
    properties: Object.fromEntries(properties),
    examples: eventExamples[type],
  };
}

const types = Object.keys(events) as (keyof typeof events)[];

/** The components of events. */
export const eventSchemas: Readonly<Record<string, JsonSchema>> = Object.fromEntries(
  [
    ...patchSchemas(shapeOf(EnvironmentSchema), ["id", "deviceId"]),
    ...approvalSchemas(),
    ...types.map(eventSchema),
  ].map((schema) => [schema["title"], schema]),
);

/** The schema of one event, after its lines are read. */
function itemSchema(type: string): JsonSchema {
  const data = { ...text, contentMediaType: "application/json", contentSchema: reference(nameOf(type)) };
  return { type: "object", required: ["event", "data"], properties: { id: text, event: { const: type }, data } };
}

/** The content of a stream. It is a text; JSON Schema has keywords for what is in a text. */
export const eventStreamContent: JsonSchema = {
  [eventStreamMediaType]: {
    schema: {
      ...text,
      contentMediaType: eventStreamMediaType,
      contentSchema: { type: "array", items: { anyOf: types.map(itemSchema) } },
    },
    example: types
      .map(
        (type, index) =>
          `id: ${eventIdExample.slice(0, -1)}${index}\nevent: ${type}\ndata: ${JSON.stringify(eventExamples[type][0])}\n\n`,
      )
      .join(""),
  },
};
