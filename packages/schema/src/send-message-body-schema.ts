import * as v from "valibot";
import { ApprovalMessageSchema } from "./approval-message-schema.ts";
import { either } from "./either.ts";
import type { SendMessageBody } from "./message.ts";
import { maxReferenceLength, ReferenceSchema, wellFormed } from "./reference-schema.ts";
import { UserMessageSchema } from "./user-message-schema.ts";
import { wireObject } from "./wire-object.ts";
import { isMeantAsApproval } from "./wire-rules.ts";

const MessageSchema = either(isMeantAsApproval, ApprovalMessageSchema, UserMessageSchema);

/** {@link SendMessageBody}, strict on known members; unknown ones are kept for an upstream that knows more. */
export const SendMessageBodySchema: v.GenericSchema<unknown, SendMessageBody> = wireObject({
  messages: v.pipe(v.array(MessageSchema), v.minLength(1, "must have at least one message")),
  agentId: v.exactOptional(ReferenceSchema),
  conversationId: v.exactOptional(
    v.nullable(
      v.pipe(
        v.string(),
        wellFormed,
        v.maxLength(maxReferenceLength, `must have at most ${maxReferenceLength} characters`),
      ),
    ),
  ),
});
