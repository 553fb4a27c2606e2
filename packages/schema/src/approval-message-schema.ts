import * as v from "valibot";
import { either } from "./either.ts";
import { isRecord } from "./is-record.ts";
import type { ApprovalDecision, ApprovalMessage, ToolReturn } from "./message.ts";
import { ReferenceSchema } from "./reference-schema.ts";
import { TextPartSchema } from "./text-part-schema.ts";
import { wireObject } from "./wire-object.ts";
import { isMeantAsToolReturn } from "./wire-rules.ts";

const ToolTextSchema = either(Array.isArray, v.array(TextPartSchema), v.string());

/** {@link ToolReturn}, strict on known members. */
export const ToolReturnSchema: v.GenericSchema<unknown, ToolReturn> = wireObject({
  status: v.picklist(["success", "error"]),
  tool_call_id: ReferenceSchema,
  tool_return: ToolTextSchema,
  stderr: v.exactOptional(v.nullable(v.array(v.string()))),
  stdout: v.exactOptional(v.nullable(v.array(v.string()))),
  type: v.exactOptional(v.literal("tool")),
});

// A record schema of valibot's own lets arrays pass.
const RecordSchema = v.custom<Record<string, unknown>>(isRecord, "must be an object");

/** {@link ApprovalDecision}, strict on known members. */
export const ApprovalDecisionSchema: v.GenericSchema<unknown, ApprovalDecision> = wireObject({
  approve: v.boolean(),
  tool_call_id: ReferenceSchema,
  reason: v.exactOptional(v.nullable(v.string())),
  type: v.exactOptional(v.literal("approval")),
  updated_input: v.exactOptional(v.nullable(RecordSchema)),
});

const ApprovalSchema = either(isMeantAsToolReturn, ToolReturnSchema, ApprovalDecisionSchema);

/** {@link ApprovalMessage}, strict on known members. */
export const ApprovalMessageSchema: v.GenericSchema<unknown, ApprovalMessage> = wireObject({
  approvals: v.pipe(v.array(ApprovalSchema), v.minLength(1, "must have at least one approval")),
  type: v.literal("approval"),
});
