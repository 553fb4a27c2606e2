/**
 * Control of a conversation on a device: the requests and responses of the operations that stop a turn, change the mode or the
 * directory, and resume or shorten the queue. Each names a conversation like a send, and responds with the report of the device.
 */
import * as v from "valibot";
import { type EnvironmentMode, environmentModes } from "./environment.ts";
import { conversationReference, reference } from "../base/reference.ts";
import { isDirectory } from "../base/rules.ts";
import { openEnum, wireObject, type WireObjectSchema } from "../base/wire-schema.ts";

/** A conversation on a device; the body of `resumeQueue`. */
export interface ConversationTarget {
  /** The agent. Required unless `conversationId` names a conversation. */
  agentId?: string;
  /** The agent's default conversation when absent, null or `default`. */
  conversationId?: string | null;
}

/** The body of `stopTurn`. */
export interface StopTurnBody extends ConversationTarget {
  /** Stops the turn only while it is in this run. */
  runId?: string;
}

/** The response to `stopTurn`. */
export interface StopTurnResponse {
  /** Whether the device interrupted something: `false` when no turn was running and no approval was pending. */
  stopped: boolean;
}

/** The body of `changeMode`. */
export interface ChangeModeBody extends ConversationTarget {
  /** The new mode. `default` and `bypassPermissions` are older names of `standard` and `unrestricted`. */
  mode: EnvironmentMode;
}

/** The response to `changeMode`. */
export interface ChangeModeResponse {
  /** The mode that the device reports for the conversation now. */
  mode: EnvironmentMode;
}

/** The body of `changeDirectory`. */
export interface ChangeDirectoryBody extends ConversationTarget {
  /** Absolute path of an existing directory on the device. */
  directory: string;
}

/** The response to `changeDirectory`. */
export interface ChangeDirectoryResponse {
  /** The directory that the device reports for the conversation now, with symbolic links resolved. */
  directory: string;
}

/** The response to `resumeQueue`. */
export interface ResumeQueueResponse {
  /** Number of waiting messages that the device released. */
  resumed: number;
}

/** The query of `removeQueueItem`. */
export interface RemoveQueueItemQuery {
  /** The agent. Required unless `conversationId` names a conversation. */
  agentId?: string;
  /** The agent's default conversation when absent, empty or `default`. */
  conversationId?: string;
}

/** The response to `removeQueueItem`. */
export interface RemoveQueueItemResponse {
  /** Whether the device had the item and removed it. */
  removed: boolean;
}

/** Longest directory, in UTF-16 code units: the longest path of Linux. */
const maxDirectoryLength = 4_096;

// The entries are functions so that bundlers can drop the schemas that a program does not use.
const target = () => ({
  agentId: v.exactOptional(reference()),
  conversationId: v.exactOptional(v.nullable(conversationReference())),
});

/** Schema of {@link StopTurnBody}. */
export const StopTurnBodySchema: WireObjectSchema<StopTurnBody> = /* @__PURE__ */ wireObject(() => ({
  ...target(),
  runId: v.exactOptional(reference()),
}));

/** Schema of {@link StopTurnResponse}. */
export const StopTurnResponseSchema: WireObjectSchema<StopTurnResponse> = /* @__PURE__ */ wireObject(() => ({
  stopped: v.boolean(),
}));

/** Schema of {@link ChangeModeBody}. */
export const ChangeModeBodySchema: WireObjectSchema<ChangeModeBody> = /* @__PURE__ */ wireObject(() => ({
  ...target(),
  mode: v.picklist(environmentModes, `must be one of ${environmentModes.join(", ")}`),
}));

/** Schema of {@link ChangeModeResponse}. */
export const ChangeModeResponseSchema: WireObjectSchema<ChangeModeResponse> = /* @__PURE__ */ wireObject(() => ({
  mode: openEnum(environmentModes),
}));

/** Schema of {@link ChangeDirectoryBody}. */
export const ChangeDirectoryBodySchema: WireObjectSchema<ChangeDirectoryBody> = /* @__PURE__ */ wireObject(() => ({
  ...target(),
  directory: v.pipe(
    v.string(),
    v.maxLength(maxDirectoryLength, `must have at most ${maxDirectoryLength} characters`),
    v.check(isDirectory, "must be an absolute path without control characters, such as /home/ada/project"),
  ),
}));

/** Schema of {@link ChangeDirectoryResponse}. */
export const ChangeDirectoryResponseSchema: WireObjectSchema<ChangeDirectoryResponse> = /* @__PURE__ */ wireObject(
  () => ({ directory: v.string() }),
);

/** Schema of {@link ConversationTarget}. */
export const ConversationTargetSchema: WireObjectSchema<ConversationTarget> = /* @__PURE__ */ wireObject(target);

/** Schema of {@link ResumeQueueResponse}. */
export const ResumeQueueResponseSchema: WireObjectSchema<ResumeQueueResponse> = /* @__PURE__ */ wireObject(() => ({
  resumed: v.number(),
}));

/** Schema of {@link RemoveQueueItemQuery}. */
export const RemoveQueueItemQuerySchema: WireObjectSchema<RemoveQueueItemQuery> = /* @__PURE__ */ wireObject(() => ({
  agentId: v.exactOptional(reference()),
  conversationId: v.exactOptional(conversationReference()),
}));

/** Schema of {@link RemoveQueueItemResponse}. */
export const RemoveQueueItemResponseSchema: WireObjectSchema<RemoveQueueItemResponse> = /* @__PURE__ */ wireObject(
  () => ({ removed: v.boolean() }),
);
