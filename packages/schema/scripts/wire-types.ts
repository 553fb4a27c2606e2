/** The list of wire types for which the generators write files. */
import * as schemas from "../src/index.ts";
import { nameOf, shapeOf } from "./read-shape.ts";
import type { Shape } from "./shape.ts";

/** A type that is sent or received as a whole. */
export interface WireType {
  /** Name of its interface. */
  readonly name: string;
  /** Module of the interface, relative to the generated modules in `src/checks`. */
  readonly module: string;
  /** Whether servers return it, so that drift is possible. */
  readonly isResponse: boolean;
  readonly shape: Shape;
}

function wireType(schema: unknown, module: string, isResponse: boolean): WireType {
  return { name: nameOf(schema, ""), module, isResponse, shape: shapeOf(schema) };
}

/** Every wire type. Add new types here. */
export const wireTypes: readonly WireType[] = [
  wireType(schemas.EnvironmentSchema, "../schemas/environment.ts", true),
  wireType(schemas.EnvironmentListSchema, "../schemas/environment.ts", true),
  wireType(schemas.ListEnvironmentsQuerySchema, "../schemas/list-query.ts", false),
  wireType(schemas.SendMessageBodySchema, "../schemas/message.ts", false),
  wireType(schemas.SendMessageResponseSchema, "../schemas/message.ts", true),
  wireType(schemas.ListMessagesQuerySchema, "../schemas/message-list.ts", false),
  wireType(schemas.MessageListSchema, "../schemas/message-list.ts", true),
  wireType(schemas.RetrieveMessageQuerySchema, "../schemas/message-status.ts", false),
  wireType(schemas.MessageStatusSchema, "../schemas/message-status.ts", true),
  wireType(schemas.ListApprovalsQuerySchema, "../schemas/approval.ts", false),
  wireType(schemas.ApprovalListSchema, "../schemas/approval.ts", true),
  wireType(schemas.StreamEventsQuerySchema, "../schemas/event-stream.ts", false),
  wireType(schemas.RegisterRequestSchema, "../schemas/register.ts", false),
  wireType(schemas.RegisterResponseSchema, "../schemas/register.ts", true),
  wireType(schemas.EnvironmentPatchSchema, "../schemas/labels.ts", false),
  wireType(schemas.LastRuntimeSchema, "../schemas/last-runtime.ts", true),
  wireType(schemas.StopTurnBodySchema, "../schemas/control.ts", false),
  wireType(schemas.StopTurnResponseSchema, "../schemas/control.ts", true),
  wireType(schemas.ChangeModeBodySchema, "../schemas/control.ts", false),
  wireType(schemas.ChangeModeResponseSchema, "../schemas/control.ts", true),
  wireType(schemas.ChangeDirectoryBodySchema, "../schemas/control.ts", false),
  wireType(schemas.ChangeDirectoryResponseSchema, "../schemas/control.ts", true),
  wireType(schemas.ConversationTargetSchema, "../schemas/control.ts", false),
  wireType(schemas.ResumeQueueResponseSchema, "../schemas/control.ts", true),
  wireType(schemas.RemoveQueueItemQuerySchema, "../schemas/control.ts", false),
  wireType(schemas.RemoveQueueItemResponseSchema, "../schemas/control.ts", true),
  wireType(schemas.OpenViewerSocketQuerySchema, "../schemas/viewer.ts", false),
  wireType(schemas.ViewerTicketSchema, "../schemas/viewer.ts", true),
  wireType(schemas.ProblemSchema, "../problems/problem.ts", true),
];
