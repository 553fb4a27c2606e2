import { type GenericSchema, type InferOutput, is } from "valibot";
import { expect, test } from "vitest";
import { descriptions } from "../scripts/read-descriptions.ts";
import { isRecord } from "../src/base/rules.ts";
import * as schema from "../src/index.ts";

type Schemas = typeof schema;
type ObjectSchema = Extract<Schemas[keyof Schemas], { readonly type: "loose_object" }>;
type KeysWithNull<Type> = { [Key in keyof Type]-?: null extends Type[Key] ? Key : never }[keyof Type];
type NullableMember<Value> = Value extends ObjectSchema ? KeysWithNull<InferOutput<Value>> : never;

/** Written by hand. The compiler compares it with the interfaces, and the test below with the schemas. */
const nullable: {
  readonly [Name in keyof Schemas as [NullableMember<Schemas[Name]>] extends [never] ? never : Name]: {
    readonly [Member in NullableMember<Schemas[Name]>]: true;
  };
} = {
  ApprovalDecisionSchema: {
    reason: true,
    requested_at: true,
    selected_permission_suggestion_ids: true,
    updated_input: true,
  },
  ApprovalListSchema: { cursor: true },
  ApprovalSchema: {
    agentId: true,
    clientMessageId: true,
    connectionId: true,
    expiresAt: true,
    input: true,
    reason: true,
  },
  ChangeDirectoryBodySchema: { conversationId: true },
  ChangeModeBodySchema: { conversationId: true },
  ConversationTargetSchema: { conversationId: true },
  EnvironmentPatchSchema: { displayName: true, tags: true },
  EnvironmentSchema: { connectedAt: true, connectionId: true, lastHeartbeat: true, podId: true },
  LastRuntimeSchema: { environmentId: true, lastSeenAt: true, metadata: true },
  MessageListSchema: { cursor: true },
  MessageStatusSchema: { agentId: true },
  SendMessageBodySchema: { conversationId: true },
  StopTurnBodySchema: { conversationId: true },
  ToolReturnSchema: { stderr: true, stdout: true },
};

const nullableOf = new Map<string, object>(Object.entries(nullable));

const objectSchemas = Object.entries<unknown>(schema).flatMap(([name, value]) =>
  isObjectSchema(value) ? [[name, value.entries] as const] : [],
);

// The compiler compares the presence of members. It accepts a schema with an additional member, or one that refuses null.

test.each(objectSchemas)("the interface and the schema have the same members: %s", (name, entries) => {
  const [type, wireType] = [name.replace("Schema", ""), name.replace("QuerySchema", "WireQuery")];
  const members = (descriptions.get(type) ?? descriptions.get(wireType))?.members.keys() ?? [];
  expect(Object.keys(entries).toSorted()).toEqual([...members].toSorted());
});

test.each(objectSchemas)("the interface and the schema allow null for the same members: %s", (name, entries) => {
  const accepting = Object.entries(entries).flatMap(([member, entry]) => (is(entry, null) ? [member] : []));
  expect(accepting.toSorted()).toEqual(Object.keys(nullableOf.get(name) ?? {}).toSorted());
});

function isObjectSchema(value: unknown): value is { readonly entries: Readonly<Record<string, GenericSchema>> } {
  return isRecord(value) && value["type"] === "loose_object";
}
