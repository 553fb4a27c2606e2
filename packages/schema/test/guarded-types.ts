import type { GenericSchema } from "valibot";
import * as guards from "../src/guards.gen.ts";
import * as schema from "../src/index.ts";
import { readFixture } from "./read-fixture.ts";

/** A wire type with its schema and guards, and valid bodies. */
export interface GuardedType {
  readonly name: string;
  readonly schema: GenericSchema;
  readonly isValid: (value: unknown) => boolean;
  readonly findMismatch: (value: unknown) => string | null;
  readonly bodies: readonly unknown[];
}

const rows = ["letta-code-row", "future-row", "offline-device"].map(readFixture);

/** Every type with a guard. */
export const guardedTypes: readonly GuardedType[] = [
  {
    name: "Environment",
    schema: schema.EnvironmentSchema,
    isValid: guards.isEnvironment,
    findMismatch: guards.findEnvironmentMismatch,
    bodies: rows,
  },
  {
    name: "EnvironmentList",
    schema: schema.EnvironmentListSchema,
    isValid: guards.isEnvironmentList,
    findMismatch: guards.findEnvironmentListMismatch,
    bodies: [readFixture("api-example"), { connections: rows, hasNextPage: false }],
  },
  {
    name: "ListEnvironmentsWireQuery",
    schema: schema.ListEnvironmentsQuerySchema,
    isValid: guards.isListEnvironmentsWireQuery,
    findMismatch: guards.findListEnvironmentsWireQueryMismatch,
    bodies: [{}, { after: "env-1", limit: "20", onlineOnly: "true", source: "remote", userId: "user-1" }],
  },
  {
    name: "SendMessageBody",
    schema: schema.SendMessageBodySchema,
    isValid: guards.isSendMessageBody,
    findMismatch: guards.findSendMessageBodyMismatch,
    bodies: [readFixture("letta-code-send"), readFixture("approval-send")],
  },
  {
    name: "SendMessageResponse",
    schema: schema.SendMessageResponseSchema,
    isValid: guards.isSendMessageResponse,
    findMismatch: guards.findSendMessageResponseMismatch,
    bodies: [{ message: "Message delivered", success: true }],
  },
  {
    name: "RegisterRequest",
    schema: schema.RegisterRequestSchema,
    isValid: guards.isRegisterRequest,
    findMismatch: guards.findRegisterRequestMismatch,
    bodies: [readFixture("letta-code-register")],
  },
  {
    name: "RegisterResponse",
    schema: schema.RegisterResponseSchema,
    isValid: guards.isRegisterResponse,
    findMismatch: guards.findRegisterResponseMismatch,
    bodies: [{ connectionId: "conn-1", wsUrl: "ws://localhost/socket", supportsSplitStatusChannels: true }],
  },
  {
    name: "Problem",
    schema: schema.ProblemSchema,
    isValid: guards.isProblem,
    findMismatch: guards.findProblemMismatch,
    bodies: [
      schema.problemBody("missing_key"),
      schema.problemBody("rate_limited", { members: { "violated-policies": [] } }),
    ],
  },
];
