// Generated from the schemas by scripts/generate.ts. Do not edit. For values from JSON: a member that is undefined counts as absent.
import type { ApprovalList, ListApprovalsWireQuery } from "../schemas/approval.ts";
import type { ChangeDirectoryBody, ChangeDirectoryResponse, ChangeModeBody, ChangeModeResponse, ConversationTarget, RemoveQueueItemQuery, RemoveQueueItemResponse, ResumeQueueResponse, StopTurnBody, StopTurnResponse } from "../schemas/control.ts";
import type { Environment, EnvironmentList } from "../schemas/environment.ts";
import type { EnvironmentPatch } from "../schemas/labels.ts";
import type { LastRuntime } from "../schemas/last-runtime.ts";
import type { ListEnvironmentsWireQuery } from "../schemas/list-query.ts";
import type { ListMessagesWireQuery, MessageList } from "../schemas/message-list.ts";
import type { MessageStatus, RetrieveMessageWireQuery } from "../schemas/message-status.ts";
import type { OpenViewerSocketQuery, ViewerTicket } from "../schemas/viewer.ts";
import type { Problem } from "../problems/problem.ts";
import type { RegisterRequest, RegisterResponse } from "../schemas/register.ts";
import type { SendMessageBody, SendMessageResponse } from "../schemas/message.ts";
import type { StreamEventsQuery } from "../schemas/event-stream.ts";
import { findMismatch } from "./find-mismatch.ts";
import { isDirectory, isDisplayable, isListLimit, isMessageCursor, isNoDotSegment, isRecord, isReference, isTag, isWaitSeconds, isWellFormed, looksLikeApproval, looksLikeToolReturn } from "../base/rules.ts";
import { isIdentifier } from "../base/identifier.ts";

export { isRecord };
/** Returns whether a value is a string. */
export const isText = (value: unknown): value is string => typeof value === "string";
const isNumber = (value: unknown): boolean => typeof value === "number";
const isFlag = (value: unknown): boolean => typeof value === "boolean";
/** Returns whether a value is an array whose items all pass a check. */
const isEach = (value: unknown, check: (item: unknown) => boolean): value is readonly unknown[] =>
  Array.isArray(value) && value.every(check);
// Does not use isEach, because engines inline a check into a loop that calls only that check.
const isTextsOrAbsent = (value: unknown): boolean =>
  value === undefined || (Array.isArray(value) && value.every((item) => isText(item)));
const isTextOrAbsent = (value: unknown): boolean => isText(value) || value === undefined;
const isNumberOrNull = (value: unknown): boolean => isNumber(value) || value === null;
const isTextOrNull = (value: unknown): boolean => isText(value) || value === null;
const isNumberOrAbsent = (value: unknown): boolean => isNumber(value) || value === undefined;
const isTextIdentifier = (value: unknown): boolean => isText(value) && isIdentifier(value);
const isTextListLimit = (value: unknown): boolean => isText(value) && isListLimit(value);
const isTextFrom1To256 = (value: unknown): boolean => isText(value) && value.length >= 1 && value.length <= 256;
const isTextTag = (value: unknown): boolean => isText(value) && isTag(value);
const isTextWellFormedFrom1To256 = (value: unknown): boolean => isText(value) && isWellFormed(value) && value.length >= 1 && value.length <= 256;
const isTextWellFormedFrom1To256NoDotSegment = (value: unknown): boolean => isText(value) && isWellFormed(value) && value.length >= 1 && value.length <= 256 && isNoDotSegment(value);
const isTextFrom1 = (value: unknown): boolean => isText(value) && value.length >= 1;
const isTextWellFormedTo256 = (value: unknown): boolean => isText(value) && isWellFormed(value) && value.length <= 256;
const isTextMessageCursor = (value: unknown): boolean => isText(value) && isMessageCursor(value);
const isTextReference = (value: unknown): boolean => isText(value) && isReference(value);
const isTextWaitSeconds = (value: unknown): boolean => isText(value) && isWaitSeconds(value);
const isTextFrom1To256Displayable = (value: unknown): boolean => isText(value) && value.length >= 1 && value.length <= 256 && isDisplayable(value);
const isTextFrom1To128Displayable = (value: unknown): boolean => isText(value) && value.length >= 1 && value.length <= 128 && isDisplayable(value);
const isTextTo4096Directory = (value: unknown): boolean => isText(value) && value.length <= 4096 && isDirectory(value);

const isSelfUpdate = (value: unknown): boolean =>
  isRecord(value) &&
  isFlag(value["supported"]) &&
  isFlag(value["writable"]) &&
  isTextOrAbsent(value["install_path"]) &&
  isTextOrAbsent(value["manual_command"]) &&
  isTextOrAbsent(value["reason"]);

const isEnvironmentMetadata = (value: unknown): boolean =>
  isRecord(value) &&
  isTextOrAbsent(value["gitBranch"]) &&
  isTextOrAbsent(value["lettaCodeVersion"]) &&
  isTextOrAbsent(value["nodeVersion"]) &&
  isTextOrAbsent(value["os"]) &&
  (value["self_update"] === undefined || isSelfUpdate(value["self_update"])) &&
  isTextsOrAbsent(value["supported_commands"]) &&
  isTextOrAbsent(value["workingDirectory"]);

/** Returns whether a value matches {@link Environment}. */
export const isEnvironment = (value: unknown): value is Environment =>
  isRecord(value) &&
  isText(value["id"]) &&
  isNumberOrNull(value["connectedAt"]) &&
  isTextOrNull(value["connectionId"]) &&
  isText(value["connectionName"]) &&
  isText(value["deviceId"]) &&
  isNumber(value["firstSeenAt"]) &&
  isNumberOrNull(value["lastHeartbeat"]) &&
  isNumber(value["lastSeenAt"]) &&
  isText(value["organizationId"]) &&
  isTextOrNull(value["podId"]) &&
  isTextOrAbsent(value["apiKeyOwner"]) &&
  isTextOrAbsent(value["currentMode"]) &&
  isTextOrAbsent(value["displayName"]) &&
  isTextOrAbsent(value["listenerInstanceId"]) &&
  (value["metadata"] === undefined || isEnvironmentMetadata(value["metadata"])) &&
  isTextsOrAbsent(value["tags"]) &&
  isNumberOrAbsent(value["pendingApprovals"]) &&
  isTextOrAbsent(value["sendProblem"]) &&
  isTextOrAbsent(value["userId"]);

/** Returns the path of the first member that does not match {@link Environment}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findEnvironmentMismatch = (value: unknown): string | null => findMismatch(isEnvironment, value);

/** Returns whether a value matches {@link EnvironmentList}. */
export const isEnvironmentList = (value: unknown): value is EnvironmentList =>
  isRecord(value) &&
  isEach(value["connections"], isEnvironment) &&
  isFlag(value["hasNextPage"]);

/** Returns the path of the first member that does not match {@link EnvironmentList}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findEnvironmentListMismatch = (value: unknown): string | null => findMismatch(isEnvironmentList, value);

/** Returns whether a value matches {@link ListEnvironmentsWireQuery}. */
export const isListEnvironmentsWireQuery = (value: unknown): value is ListEnvironmentsWireQuery =>
  isRecord(value) &&
  (value["after"] === undefined || isTextIdentifier(value["after"])) &&
  (value["limit"] === undefined || isTextListLimit(value["limit"])) &&
  (value["onlineOnly"] === undefined || (value["onlineOnly"] === "true" || value["onlineOnly"] === "false")) &&
  (value["source"] === undefined || (value["source"] === "local" || value["source"] === "remote")) &&
  (value["userId"] === undefined || isTextFrom1To256(value["userId"])) &&
  (value["tag"] === undefined || isEach(value["tag"], isTextTag) && value["tag"].length <= 20);

/** Returns the path of the first member that does not match {@link ListEnvironmentsWireQuery}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findListEnvironmentsWireQueryMismatch = (value: unknown): string | null => findMismatch(isListEnvironmentsWireQuery, value);

const isTextPart = (value: unknown): boolean =>
  isRecord(value) &&
  isText(value["text"]) &&
  (value["type"] === "text");

const isToolReturn = (value: unknown): boolean =>
  isRecord(value) &&
  (value["status"] === "success" || value["status"] === "error") &&
  isTextWellFormedFrom1To256(value["tool_call_id"]) &&
  (Array.isArray(value["tool_return"]) ? isEach(value["tool_return"], isTextPart) : isText(value["tool_return"])) &&
  (value["stderr"] == null || isEach(value["stderr"], isText)) &&
  (value["stdout"] == null || isEach(value["stdout"], isText)) &&
  (value["type"] === undefined || (value["type"] === "tool"));

const isApprovalDecision = (value: unknown): boolean =>
  isRecord(value) &&
  isFlag(value["approve"]) &&
  isTextWellFormedFrom1To256(value["tool_call_id"]) &&
  (value["reason"] === undefined || isTextOrNull(value["reason"])) &&
  (value["requested_at"] === undefined || isNumberOrNull(value["requested_at"])) &&
  (value["selected_permission_suggestion_ids"] == null || isEach(value["selected_permission_suggestion_ids"], isTextWellFormedFrom1To256)) &&
  (value["type"] === undefined || (value["type"] === "approval")) &&
  (value["updated_input"] == null || isRecord(value["updated_input"]));

const isApprovalMessage = (value: unknown): boolean =>
  isRecord(value) &&
  isEach(value["approvals"], (item) => (looksLikeToolReturn(item) ? isToolReturn(item) : isApprovalDecision(item))) && value["approvals"].length >= 1 &&
  (value["type"] === "approval");

const isUserMessage = (value: unknown): boolean =>
  isRecord(value) &&
  isTextWellFormedFrom1To256NoDotSegment(value["client_message_id"]) &&
  (Array.isArray(value["content"]) ? isEach(value["content"], isTextPart) && value["content"].length >= 1 : isTextFrom1(value["content"])) &&
  (value["role"] === "user") &&
  (value["otid"] === undefined || isTextWellFormedFrom1To256(value["otid"]));

/** Returns whether a value matches {@link SendMessageBody}. */
export const isSendMessageBody = (value: unknown): value is SendMessageBody =>
  isRecord(value) &&
  isEach(value["messages"], (item) => (looksLikeApproval(item) ? isApprovalMessage(item) : isUserMessage(item))) && value["messages"].length >= 1 &&
  (value["agentId"] === undefined || isTextWellFormedFrom1To256(value["agentId"])) &&
  (value["conversationId"] === undefined || (value["conversationId"] === null || isTextWellFormedTo256(value["conversationId"])));

/** Returns the path of the first member that does not match {@link SendMessageBody}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findSendMessageBodyMismatch = (value: unknown): string | null => findMismatch(isSendMessageBody, value);

const isTurnUsage = (value: unknown): boolean =>
  isRecord(value) &&
  isNumberOrAbsent(value["cachedInputTokens"]) &&
  isNumberOrAbsent(value["cacheWriteTokens"]) &&
  isNumberOrAbsent(value["completionTokens"]) &&
  isNumberOrAbsent(value["contextTokens"]) &&
  isNumberOrAbsent(value["promptTokens"]) &&
  isNumberOrAbsent(value["reasoningTokens"]) &&
  isNumberOrAbsent(value["stepCount"]) &&
  isNumberOrAbsent(value["totalTokens"]);

/** Returns whether a value matches {@link MessageStatus}. */
export const isMessageStatus = (value: unknown): value is MessageStatus =>
  isRecord(value) &&
  isTextOrNull(value["agentId"]) &&
  isText(value["clientMessageId"]) &&
  isText(value["conversationId"]) &&
  isText(value["deviceId"]) &&
  isText(value["state"]) &&
  isTextOrAbsent(value["disposition"]) &&
  isNumberOrAbsent(value["durationMs"]) &&
  isTextOrAbsent(value["error"]) &&
  isNumberOrAbsent(value["sentAt"]) &&
  isTextOrAbsent(value["stopReason"]) &&
  isTextOrAbsent(value["text"]) &&
  (value["textTruncated"] === undefined || isFlag(value["textTruncated"])) &&
  isNumberOrAbsent(value["updatedAt"]) &&
  (value["usage"] === undefined || isTurnUsage(value["usage"])) &&
  isNumberOrAbsent(value["waitSeconds"]);

/** Returns the path of the first member that does not match {@link MessageStatus}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findMessageStatusMismatch = (value: unknown): string | null => findMismatch(isMessageStatus, value);

/** Returns whether a value matches {@link SendMessageResponse}. */
export const isSendMessageResponse = (value: unknown): value is SendMessageResponse =>
  isRecord(value) &&
  isFlag(value["success"]) &&
  isText(value["message"]) &&
  isTextOrAbsent(value["disposition"]) &&
  (value["outcome"] === undefined || isMessageStatus(value["outcome"]));

/** Returns the path of the first member that does not match {@link SendMessageResponse}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findSendMessageResponseMismatch = (value: unknown): string | null => findMismatch(isSendMessageResponse, value);

/** Returns whether a value matches {@link ListMessagesWireQuery}. */
export const isListMessagesWireQuery = (value: unknown): value is ListMessagesWireQuery =>
  isRecord(value) &&
  (value["after"] === undefined || isTextMessageCursor(value["after"])) &&
  (value["agentId"] === undefined || isEach(value["agentId"], isTextWellFormedFrom1To256) && value["agentId"].length <= 100) &&
  (value["conversationId"] === undefined || isTextWellFormedFrom1To256(value["conversationId"])) &&
  (value["include"] === undefined || (value["include"] === "text")) &&
  (value["limit"] === undefined || isTextListLimit(value["limit"])) &&
  (value["state"] === undefined || isEach(value["state"], (item) => (item === "received" || item === "sent" || item === "accepted" || item === "running" || item === "waiting_for_approval" || item === "finished" || item === "cancelled" || item === "evicted" || item === "failed" || item === "unknown")));

/** Returns the path of the first member that does not match {@link ListMessagesWireQuery}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findListMessagesWireQueryMismatch = (value: unknown): string | null => findMismatch(isListMessagesWireQuery, value);

/** Returns whether a value matches {@link MessageList}. */
export const isMessageList = (value: unknown): value is MessageList =>
  isRecord(value) &&
  isEach(value["messages"], isMessageStatus) &&
  isFlag(value["hasNextPage"]) &&
  isTextOrNull(value["cursor"]);

/** Returns the path of the first member that does not match {@link MessageList}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findMessageListMismatch = (value: unknown): string | null => findMismatch(isMessageList, value);

/** Returns whether a value matches {@link RetrieveMessageWireQuery}. */
export const isRetrieveMessageWireQuery = (value: unknown): value is RetrieveMessageWireQuery =>
  isRecord(value) &&
  (value["agentId"] === undefined || isTextReference(value["agentId"])) &&
  (value["conversationId"] === undefined || isTextReference(value["conversationId"])) &&
  (value["wait"] === undefined || (value["wait"] === "finished")) &&
  (value["waitSeconds"] === undefined || isTextWaitSeconds(value["waitSeconds"]));

/** Returns the path of the first member that does not match {@link RetrieveMessageWireQuery}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findRetrieveMessageWireQueryMismatch = (value: unknown): string | null => findMismatch(isRetrieveMessageWireQuery, value);

/** Returns whether a value matches {@link ListApprovalsWireQuery}. */
export const isListApprovalsWireQuery = (value: unknown): value is ListApprovalsWireQuery =>
  isRecord(value) &&
  (value["after"] === undefined || isTextIdentifier(value["after"])) &&
  (value["limit"] === undefined || isTextListLimit(value["limit"]));

/** Returns the path of the first member that does not match {@link ListApprovalsWireQuery}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findListApprovalsWireQueryMismatch = (value: unknown): string | null => findMismatch(isListApprovalsWireQuery, value);

const isApprovalSuggestion = (value: unknown): boolean =>
  isRecord(value) &&
  isText(value["id"]) &&
  isText(value["text"]);

const isApproval = (value: unknown): boolean =>
  isRecord(value) &&
  isText(value["id"]) &&
  isTextOrNull(value["connectionId"]) &&
  isText(value["deviceId"]) &&
  isTextOrNull(value["agentId"]) &&
  isText(value["conversationId"]) &&
  isText(value["tool"]) &&
  (value["input"] === null || isRecord(value["input"])) &&
  isFlag(value["inputTruncated"]) &&
  isTextOrNull(value["reason"]) &&
  isEach(value["suggestions"], isApprovalSuggestion) &&
  isNumber(value["requestedAt"]) &&
  isNumber(value["ageMs"]) &&
  isNumberOrNull(value["expiresAt"]) &&
  isTextOrNull(value["clientMessageId"]);

/** Returns whether a value matches {@link ApprovalList}. */
export const isApprovalList = (value: unknown): value is ApprovalList =>
  isRecord(value) &&
  isEach(value["approvals"], isApproval) &&
  isFlag(value["hasNextPage"]) &&
  isTextOrNull(value["cursor"]);

/** Returns the path of the first member that does not match {@link ApprovalList}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findApprovalListMismatch = (value: unknown): string | null => findMismatch(isApprovalList, value);

/** Returns whether a value matches {@link StreamEventsQuery}. */
export const isStreamEventsQuery = (value: unknown): value is StreamEventsQuery =>
  isRecord(value) &&
  (value["deviceId"] === undefined || isTextIdentifier(value["deviceId"])) &&
  (value["include"] === undefined || (value["include"] === "output"));

/** Returns the path of the first member that does not match {@link StreamEventsQuery}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findStreamEventsQueryMismatch = (value: unknown): string | null => findMismatch(isStreamEventsQuery, value);

/** Returns whether a value matches {@link RegisterRequest}. */
export const isRegisterRequest = (value: unknown): value is RegisterRequest =>
  isRecord(value) &&
  isTextIdentifier(value["deviceId"]) &&
  isTextFrom1To256Displayable(value["connectionName"]) &&
  (value["listenerInstanceId"] === undefined || isTextIdentifier(value["listenerInstanceId"])) &&
  (value["metadata"] === undefined || isEnvironmentMetadata(value["metadata"]));

/** Returns the path of the first member that does not match {@link RegisterRequest}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findRegisterRequestMismatch = (value: unknown): string | null => findMismatch(isRegisterRequest, value);

/** Returns whether a value matches {@link RegisterResponse}. */
export const isRegisterResponse = (value: unknown): value is RegisterResponse =>
  isRecord(value) &&
  isText(value["connectionId"]) &&
  isText(value["wsUrl"]) &&
  (value["supportsSplitStatusChannels"] === undefined || isFlag(value["supportsSplitStatusChannels"])) &&
  (value["supportsPairedListenerGenerations"] === undefined || isFlag(value["supportsPairedListenerGenerations"]));

/** Returns the path of the first member that does not match {@link RegisterResponse}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findRegisterResponseMismatch = (value: unknown): string | null => findMismatch(isRegisterResponse, value);

/** Returns whether a value matches {@link EnvironmentPatch}. */
export const isEnvironmentPatch = (value: unknown): value is EnvironmentPatch =>
  isRecord(value) &&
  (value["displayName"] === undefined || (value["displayName"] === null || isTextFrom1To128Displayable(value["displayName"]))) &&
  (value["tags"] == null || isEach(value["tags"], isTextTag) && value["tags"].length <= 20);

/** Returns the path of the first member that does not match {@link EnvironmentPatch}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findEnvironmentPatchMismatch = (value: unknown): string | null => findMismatch(isEnvironmentPatch, value);

/** Returns whether a value matches {@link LastRuntime}. */
export const isLastRuntime = (value: unknown): value is LastRuntime =>
  isRecord(value) &&
  isTextOrNull(value["environmentId"]) &&
  isText(value["deviceId"]) &&
  isText(value["connectionName"]) &&
  (value["metadata"] === null || isEnvironmentMetadata(value["metadata"])) &&
  isText(value["status"]) &&
  isFlag(value["isOnline"]) &&
  isNumberOrNull(value["lastSeenAt"]) &&
  isNumber(value["lastUsedAt"]) &&
  isText(value["source"]);

/** Returns the path of the first member that does not match {@link LastRuntime}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findLastRuntimeMismatch = (value: unknown): string | null => findMismatch(isLastRuntime, value);

/** Returns whether a value matches {@link StopTurnBody}. */
export const isStopTurnBody = (value: unknown): value is StopTurnBody =>
  isRecord(value) &&
  (value["agentId"] === undefined || isTextWellFormedFrom1To256(value["agentId"])) &&
  (value["conversationId"] === undefined || (value["conversationId"] === null || isTextWellFormedTo256(value["conversationId"]))) &&
  (value["runId"] === undefined || isTextWellFormedFrom1To256(value["runId"]));

/** Returns the path of the first member that does not match {@link StopTurnBody}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findStopTurnBodyMismatch = (value: unknown): string | null => findMismatch(isStopTurnBody, value);

/** Returns whether a value matches {@link StopTurnResponse}. */
export const isStopTurnResponse = (value: unknown): value is StopTurnResponse =>
  isRecord(value) &&
  isFlag(value["stopped"]);

/** Returns the path of the first member that does not match {@link StopTurnResponse}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findStopTurnResponseMismatch = (value: unknown): string | null => findMismatch(isStopTurnResponse, value);

/** Returns whether a value matches {@link ChangeModeBody}. */
export const isChangeModeBody = (value: unknown): value is ChangeModeBody =>
  isRecord(value) &&
  (value["agentId"] === undefined || isTextWellFormedFrom1To256(value["agentId"])) &&
  (value["conversationId"] === undefined || (value["conversationId"] === null || isTextWellFormedTo256(value["conversationId"]))) &&
  (value["mode"] === "default" || value["mode"] === "standard" || value["mode"] === "acceptEdits" || value["mode"] === "bypassPermissions" || value["mode"] === "unrestricted");

/** Returns the path of the first member that does not match {@link ChangeModeBody}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findChangeModeBodyMismatch = (value: unknown): string | null => findMismatch(isChangeModeBody, value);

/** Returns whether a value matches {@link ChangeModeResponse}. */
export const isChangeModeResponse = (value: unknown): value is ChangeModeResponse =>
  isRecord(value) &&
  isText(value["mode"]);

/** Returns the path of the first member that does not match {@link ChangeModeResponse}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findChangeModeResponseMismatch = (value: unknown): string | null => findMismatch(isChangeModeResponse, value);

/** Returns whether a value matches {@link ChangeDirectoryBody}. */
export const isChangeDirectoryBody = (value: unknown): value is ChangeDirectoryBody =>
  isRecord(value) &&
  (value["agentId"] === undefined || isTextWellFormedFrom1To256(value["agentId"])) &&
  (value["conversationId"] === undefined || (value["conversationId"] === null || isTextWellFormedTo256(value["conversationId"]))) &&
  isTextTo4096Directory(value["directory"]);

/** Returns the path of the first member that does not match {@link ChangeDirectoryBody}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findChangeDirectoryBodyMismatch = (value: unknown): string | null => findMismatch(isChangeDirectoryBody, value);

/** Returns whether a value matches {@link ChangeDirectoryResponse}. */
export const isChangeDirectoryResponse = (value: unknown): value is ChangeDirectoryResponse =>
  isRecord(value) &&
  isText(value["directory"]);

/** Returns the path of the first member that does not match {@link ChangeDirectoryResponse}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findChangeDirectoryResponseMismatch = (value: unknown): string | null => findMismatch(isChangeDirectoryResponse, value);

/** Returns whether a value matches {@link ConversationTarget}. */
export const isConversationTarget = (value: unknown): value is ConversationTarget =>
  isRecord(value) &&
  (value["agentId"] === undefined || isTextWellFormedFrom1To256(value["agentId"])) &&
  (value["conversationId"] === undefined || (value["conversationId"] === null || isTextWellFormedTo256(value["conversationId"])));

/** Returns the path of the first member that does not match {@link ConversationTarget}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findConversationTargetMismatch = (value: unknown): string | null => findMismatch(isConversationTarget, value);

/** Returns whether a value matches {@link ResumeQueueResponse}. */
export const isResumeQueueResponse = (value: unknown): value is ResumeQueueResponse =>
  isRecord(value) &&
  isNumber(value["resumed"]);

/** Returns the path of the first member that does not match {@link ResumeQueueResponse}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findResumeQueueResponseMismatch = (value: unknown): string | null => findMismatch(isResumeQueueResponse, value);

/** Returns whether a value matches {@link RemoveQueueItemQuery}. */
export const isRemoveQueueItemQuery = (value: unknown): value is RemoveQueueItemQuery =>
  isRecord(value) &&
  (value["agentId"] === undefined || isTextWellFormedFrom1To256(value["agentId"])) &&
  (value["conversationId"] === undefined || isTextWellFormedTo256(value["conversationId"]));

/** Returns the path of the first member that does not match {@link RemoveQueueItemQuery}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findRemoveQueueItemQueryMismatch = (value: unknown): string | null => findMismatch(isRemoveQueueItemQuery, value);

/** Returns whether a value matches {@link RemoveQueueItemResponse}. */
export const isRemoveQueueItemResponse = (value: unknown): value is RemoveQueueItemResponse =>
  isRecord(value) &&
  isFlag(value["removed"]);

/** Returns the path of the first member that does not match {@link RemoveQueueItemResponse}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findRemoveQueueItemResponseMismatch = (value: unknown): string | null => findMismatch(isRemoveQueueItemResponse, value);

/** Returns whether a value matches {@link OpenViewerSocketQuery}. */
export const isOpenViewerSocketQuery = (value: unknown): value is OpenViewerSocketQuery =>
  isRecord(value) &&
  (value["agentId"] === undefined || isTextWellFormedFrom1To256(value["agentId"])) &&
  (value["conversationId"] === undefined || isTextWellFormedTo256(value["conversationId"])) &&
  (value["channel"] === undefined || (value["channel"] === "control" || value["channel"] === "stream")) &&
  isTextOrAbsent(value["token"]);

/** Returns the path of the first member that does not match {@link OpenViewerSocketQuery}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findOpenViewerSocketQueryMismatch = (value: unknown): string | null => findMismatch(isOpenViewerSocketQuery, value);

/** Returns whether a value matches {@link ViewerTicket}. */
export const isViewerTicket = (value: unknown): value is ViewerTicket =>
  isRecord(value) &&
  isNumber(value["expiresAt"]) &&
  isText(value["ticket"]);

/** Returns the path of the first member that does not match {@link ViewerTicket}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findViewerTicketMismatch = (value: unknown): string | null => findMismatch(isViewerTicket, value);

const isProblemIssue = (value: unknown): boolean =>
  isRecord(value) &&
  isText(value["member"]) &&
  isText(value["rule"]);

const isDeliveredParts = (value: unknown): boolean =>
  isRecord(value) &&
  isNumber(value["count"]) &&
  isNumber(value["delivered"]) &&
  isText(value["errorCode"]);

/** Returns whether a value matches {@link Problem}. */
export const isProblem = (value: unknown): value is Problem =>
  isRecord(value) &&
  isText(value["type"]) &&
  isText(value["title"]) &&
  isNumber(value["status"]) &&
  isText(value["detail"]) &&
  isText(value["message"]) &&
  isText(value["error"]) &&
  isText(value["errorCode"]) &&
  (value["errors"] === undefined || isEach(value["errors"], isProblemIssue)) &&
  isTextOrAbsent(value["delivery"]) &&
  isTextsOrAbsent(value["violated-policies"]) &&
  (value["parts"] === undefined || isDeliveredParts(value["parts"]));

/** Returns the path of the first member that does not match {@link Problem}, such as `messages[0].role`; `""` for the whole value, `null` if it matches. */
export const findProblemMismatch = (value: unknown): string | null => findMismatch(isProblem, value);
