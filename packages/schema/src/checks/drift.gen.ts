// Generated from the schemas by scripts/generate.ts. Do not edit.
import type { ApprovalList } from "../schemas/approval.ts";
import type { ChangeDirectoryResponse, ChangeModeResponse, RemoveQueueItemResponse, ResumeQueueResponse, StopTurnResponse } from "../schemas/control.ts";
import type { Environment, EnvironmentList } from "../schemas/environment.ts";
import type { LastRuntime } from "../schemas/last-runtime.ts";
import type { MessageList } from "../schemas/message-list.ts";
import type { MessageStatus } from "../schemas/message-status.ts";
import type { Problem } from "../problems/problem.ts";
import type { RegisterResponse } from "../schemas/register.ts";
import type { SendMessageResponse } from "../schemas/message.ts";
import type { ViewerTicket } from "../schemas/viewer.ts";
import { createPlace, type Drift, type DriftReport, findUnknownMembers, findUnknownValue } from "./drift.ts";

export type { Drift } from "./drift.ts";

const selfUpdateMembers: readonly string[] = ["supported","writable","install_path","manual_command","reason"];

const environmentMetadataMembers: readonly string[] = ["gitBranch","lettaCodeVersion","nodeVersion","os","self_update","supported_commands","workingDirectory"];

const environmentMembers: readonly string[] = ["id","connectedAt","connectionId","connectionName","deviceId","firstSeenAt","lastHeartbeat","lastSeenAt","organizationId","podId","apiKeyOwner","currentMode","displayName","listenerInstanceId","metadata","tags","pendingApprovals","sendProblem","userId"];

const environmentListMembers: readonly string[] = ["connections","hasNextPage"];

const turnUsageMembers: readonly string[] = ["cachedInputTokens","cacheWriteTokens","completionTokens","contextTokens","promptTokens","reasoningTokens","stepCount","totalTokens"];

const messageStatusMembers: readonly string[] = ["agentId","clientMessageId","conversationId","deviceId","state","disposition","durationMs","error","sentAt","stopReason","text","textTruncated","updatedAt","usage","waitSeconds"];

const sendMessageResponseMembers: readonly string[] = ["success","message","disposition","outcome"];

const messageListMembers: readonly string[] = ["messages","hasNextPage","cursor"];

const approvalSuggestionMembers: readonly string[] = ["id","text"];

const approvalMembers: readonly string[] = ["id","connectionId","deviceId","agentId","conversationId","tool","input","inputTruncated","reason","suggestions","requestedAt","ageMs","expiresAt","clientMessageId"];

const approvalListMembers: readonly string[] = ["approvals","hasNextPage","cursor"];

const registerResponseMembers: readonly string[] = ["connectionId","wsUrl","supportsSplitStatusChannels","supportsPairedListenerGenerations"];

const lastRuntimeMembers: readonly string[] = ["environmentId","deviceId","connectionName","metadata","status","isOnline","lastSeenAt","lastUsedAt","source"];

const stopTurnResponseMembers: readonly string[] = ["stopped"];

const changeModeResponseMembers: readonly string[] = ["mode"];

const changeDirectoryResponseMembers: readonly string[] = ["directory"];

const resumeQueueResponseMembers: readonly string[] = ["resumed"];

const removeQueueItemResponseMembers: readonly string[] = ["removed"];

const viewerTicketMembers: readonly string[] = ["expiresAt","ticket"];

const problemIssueMembers: readonly string[] = ["member","rule"];

const deliveredPartsMembers: readonly string[] = ["count","delivered","errorCode"];

const problemMembers: readonly string[] = ["type","title","status","detail","message","error","errorCode","errors","delivery","violated-policies","parts"];

/** Returns the unknown members of a {@link Environment}, and the unknown values of its open enums. */
export const findEnvironmentDrift = (value: Environment): Drift[] => {
  const report: DriftReport = new Map();
  const place0 = createPlace("", environmentMembers, report);
  const place1 = createPlace("currentMode", ["default","standard","acceptEdits","bypassPermissions","unrestricted"], report);
  const place2 = createPlace("metadata.", environmentMetadataMembers, report);
  const place3 = createPlace("metadata.self_update.", selfUpdateMembers, report);
  const place4 = createPlace("sendProblem", ["agents_api_missing"], report);
  findUnknownMembers(place0, value, 10 + (value.apiKeyOwner === undefined ? 0 : 1) + (value.currentMode === undefined ? 0 : 1) + (value.displayName === undefined ? 0 : 1) + (value.listenerInstanceId === undefined ? 0 : 1) + (value.metadata === undefined ? 0 : 1) + (value.tags === undefined ? 0 : 1) + (value.pendingApprovals === undefined ? 0 : 1) + (value.sendProblem === undefined ? 0 : 1) + (value.userId === undefined ? 0 : 1));
  findUnknownValue(place1, value.currentMode);
  if (value.metadata !== undefined) {
    findUnknownMembers(place2, value.metadata, (value.metadata.gitBranch === undefined ? 0 : 1) + (value.metadata.lettaCodeVersion === undefined ? 0 : 1) + (value.metadata.nodeVersion === undefined ? 0 : 1) + (value.metadata.os === undefined ? 0 : 1) + (value.metadata.self_update === undefined ? 0 : 1) + (value.metadata.supported_commands === undefined ? 0 : 1) + (value.metadata.workingDirectory === undefined ? 0 : 1));
    if (value.metadata.self_update !== undefined) {
      findUnknownMembers(place3, value.metadata.self_update, 2 + (value.metadata.self_update.install_path === undefined ? 0 : 1) + (value.metadata.self_update.manual_command === undefined ? 0 : 1) + (value.metadata.self_update.reason === undefined ? 0 : 1));
    }
  }
  findUnknownValue(place4, value.sendProblem);
  return [...report.values()];
};

/** Returns the unknown members of a {@link EnvironmentList}, and the unknown values of its open enums. */
export const findEnvironmentListDrift = (value: EnvironmentList): Drift[] => {
  const report: DriftReport = new Map();
  const place0 = createPlace("", environmentListMembers, report);
  const place1 = createPlace("connections[].", environmentMembers, report);
  const place2 = createPlace("connections[].currentMode", ["default","standard","acceptEdits","bypassPermissions","unrestricted"], report);
  const place3 = createPlace("connections[].metadata.", environmentMetadataMembers, report);
  const place4 = createPlace("connections[].metadata.self_update.", selfUpdateMembers, report);
  const place5 = createPlace("connections[].sendProblem", ["agents_api_missing"], report);
  findUnknownMembers(place0, value, 2);
  for (const item of value.connections) {
    findUnknownMembers(place1, item, 10 + (item.apiKeyOwner === undefined ? 0 : 1) + (item.currentMode === undefined ? 0 : 1) + (item.displayName === undefined ? 0 : 1) + (item.listenerInstanceId === undefined ? 0 : 1) + (item.metadata === undefined ? 0 : 1) + (item.tags === undefined ? 0 : 1) + (item.pendingApprovals === undefined ? 0 : 1) + (item.sendProblem === undefined ? 0 : 1) + (item.userId === undefined ? 0 : 1));
    findUnknownValue(place2, item.currentMode);
    if (item.metadata !== undefined) {
      findUnknownMembers(place3, item.metadata, (item.metadata.gitBranch === undefined ? 0 : 1) + (item.metadata.lettaCodeVersion === undefined ? 0 : 1) + (item.metadata.nodeVersion === undefined ? 0 : 1) + (item.metadata.os === undefined ? 0 : 1) + (item.metadata.self_update === undefined ? 0 : 1) + (item.metadata.supported_commands === undefined ? 0 : 1) + (item.metadata.workingDirectory === undefined ? 0 : 1));
      if (item.metadata.self_update !== undefined) {
        findUnknownMembers(place4, item.metadata.self_update, 2 + (item.metadata.self_update.install_path === undefined ? 0 : 1) + (item.metadata.self_update.manual_command === undefined ? 0 : 1) + (item.metadata.self_update.reason === undefined ? 0 : 1));
      }
    }
    findUnknownValue(place5, item.sendProblem);
  }
  return [...report.values()];
};

/** Returns the unknown members of a {@link SendMessageResponse}, and the unknown values of its open enums. */
export const findSendMessageResponseDrift = (value: SendMessageResponse): Drift[] => {
  const report: DriftReport = new Map();
  const place0 = createPlace("", sendMessageResponseMembers, report);
  const place1 = createPlace("disposition", ["started","queued"], report);
  const place2 = createPlace("outcome.", messageStatusMembers, report);
  const place3 = createPlace("outcome.state", ["received","sent","accepted","running","waiting_for_approval","finished","cancelled","evicted","failed","unknown"], report);
  const place4 = createPlace("outcome.disposition", ["started","queued"], report);
  const place5 = createPlace("outcome.usage.", turnUsageMembers, report);
  findUnknownMembers(place0, value, 2 + (value.disposition === undefined ? 0 : 1) + (value.outcome === undefined ? 0 : 1));
  findUnknownValue(place1, value.disposition);
  if (value.outcome !== undefined) {
    findUnknownMembers(place2, value.outcome, 5 + (value.outcome.disposition === undefined ? 0 : 1) + (value.outcome.durationMs === undefined ? 0 : 1) + (value.outcome.error === undefined ? 0 : 1) + (value.outcome.sentAt === undefined ? 0 : 1) + (value.outcome.stopReason === undefined ? 0 : 1) + (value.outcome.text === undefined ? 0 : 1) + (value.outcome.textTruncated === undefined ? 0 : 1) + (value.outcome.updatedAt === undefined ? 0 : 1) + (value.outcome.usage === undefined ? 0 : 1) + (value.outcome.waitSeconds === undefined ? 0 : 1));
    findUnknownValue(place3, value.outcome.state);
    findUnknownValue(place4, value.outcome.disposition);
    if (value.outcome.usage !== undefined) {
      findUnknownMembers(place5, value.outcome.usage, (value.outcome.usage.cachedInputTokens === undefined ? 0 : 1) + (value.outcome.usage.cacheWriteTokens === undefined ? 0 : 1) + (value.outcome.usage.completionTokens === undefined ? 0 : 1) + (value.outcome.usage.contextTokens === undefined ? 0 : 1) + (value.outcome.usage.promptTokens === undefined ? 0 : 1) + (value.outcome.usage.reasoningTokens === undefined ? 0 : 1) + (value.outcome.usage.stepCount === undefined ? 0 : 1) + (value.outcome.usage.totalTokens === undefined ? 0 : 1));
    }
  }
  return [...report.values()];
};

/** Returns the unknown members of a {@link MessageList}, and the unknown values of its open enums. */
export const findMessageListDrift = (value: MessageList): Drift[] => {
  const report: DriftReport = new Map();
  const place0 = createPlace("", messageListMembers, report);
  const place1 = createPlace("messages[].", messageStatusMembers, report);
  const place2 = createPlace("messages[].state", ["received","sent","accepted","running","waiting_for_approval","finished","cancelled","evicted","failed","unknown"], report);
  const place3 = createPlace("messages[].disposition", ["started","queued"], report);
  const place4 = createPlace("messages[].usage.", turnUsageMembers, report);
  findUnknownMembers(place0, value, 3);
  for (const item of value.messages) {
    findUnknownMembers(place1, item, 5 + (item.disposition === undefined ? 0 : 1) + (item.durationMs === undefined ? 0 : 1) + (item.error === undefined ? 0 : 1) + (item.sentAt === undefined ? 0 : 1) + (item.stopReason === undefined ? 0 : 1) + (item.text === undefined ? 0 : 1) + (item.textTruncated === undefined ? 0 : 1) + (item.updatedAt === undefined ? 0 : 1) + (item.usage === undefined ? 0 : 1) + (item.waitSeconds === undefined ? 0 : 1));
    findUnknownValue(place2, item.state);
    findUnknownValue(place3, item.disposition);
    if (item.usage !== undefined) {
      findUnknownMembers(place4, item.usage, (item.usage.cachedInputTokens === undefined ? 0 : 1) + (item.usage.cacheWriteTokens === undefined ? 0 : 1) + (item.usage.completionTokens === undefined ? 0 : 1) + (item.usage.contextTokens === undefined ? 0 : 1) + (item.usage.promptTokens === undefined ? 0 : 1) + (item.usage.reasoningTokens === undefined ? 0 : 1) + (item.usage.stepCount === undefined ? 0 : 1) + (item.usage.totalTokens === undefined ? 0 : 1));
    }
  }
  return [...report.values()];
};

/** Returns the unknown members of a {@link MessageStatus}, and the unknown values of its open enums. */
export const findMessageStatusDrift = (value: MessageStatus): Drift[] => {
  const report: DriftReport = new Map();
  const place0 = createPlace("", messageStatusMembers, report);
  const place1 = createPlace("state", ["received","sent","accepted","running","waiting_for_approval","finished","cancelled","evicted","failed","unknown"], report);
  const place2 = createPlace("disposition", ["started","queued"], report);
  const place3 = createPlace("usage.", turnUsageMembers, report);
  findUnknownMembers(place0, value, 5 + (value.disposition === undefined ? 0 : 1) + (value.durationMs === undefined ? 0 : 1) + (value.error === undefined ? 0 : 1) + (value.sentAt === undefined ? 0 : 1) + (value.stopReason === undefined ? 0 : 1) + (value.text === undefined ? 0 : 1) + (value.textTruncated === undefined ? 0 : 1) + (value.updatedAt === undefined ? 0 : 1) + (value.usage === undefined ? 0 : 1) + (value.waitSeconds === undefined ? 0 : 1));
  findUnknownValue(place1, value.state);
  findUnknownValue(place2, value.disposition);
  if (value.usage !== undefined) {
    findUnknownMembers(place3, value.usage, (value.usage.cachedInputTokens === undefined ? 0 : 1) + (value.usage.cacheWriteTokens === undefined ? 0 : 1) + (value.usage.completionTokens === undefined ? 0 : 1) + (value.usage.contextTokens === undefined ? 0 : 1) + (value.usage.promptTokens === undefined ? 0 : 1) + (value.usage.reasoningTokens === undefined ? 0 : 1) + (value.usage.stepCount === undefined ? 0 : 1) + (value.usage.totalTokens === undefined ? 0 : 1));
  }
  return [...report.values()];
};

/** Returns the unknown members of a {@link ApprovalList}, and the unknown values of its open enums. */
export const findApprovalListDrift = (value: ApprovalList): Drift[] => {
  const report: DriftReport = new Map();
  const place0 = createPlace("", approvalListMembers, report);
  const place1 = createPlace("approvals[].", approvalMembers, report);
  const place2 = createPlace("approvals[].suggestions[].", approvalSuggestionMembers, report);
  findUnknownMembers(place0, value, 3);
  for (const item of value.approvals) {
    findUnknownMembers(place1, item, 14);
    for (const item1 of item.suggestions) {
      findUnknownMembers(place2, item1, 2);
    }
  }
  return [...report.values()];
};

/** Returns the unknown members of a {@link RegisterResponse}, and the unknown values of its open enums. */
export const findRegisterResponseDrift = (value: RegisterResponse): Drift[] => {
  const report: DriftReport = new Map();
  const place0 = createPlace("", registerResponseMembers, report);
  findUnknownMembers(place0, value, 2 + (value.supportsSplitStatusChannels === undefined ? 0 : 1) + (value.supportsPairedListenerGenerations === undefined ? 0 : 1));
  return [...report.values()];
};

/** Returns the unknown members of a {@link LastRuntime}, and the unknown values of its open enums. */
export const findLastRuntimeDrift = (value: LastRuntime): Drift[] => {
  const report: DriftReport = new Map();
  const place0 = createPlace("", lastRuntimeMembers, report);
  const place1 = createPlace("status", ["online","offline","unreachable"], report);
  const place2 = createPlace("source", ["environment","sandbox","unknown"], report);
  findUnknownMembers(place0, value, 9);
  findUnknownValue(place1, value.status);
  findUnknownValue(place2, value.source);
  return [...report.values()];
};

/** Returns the unknown members of a {@link StopTurnResponse}, and the unknown values of its open enums. */
export const findStopTurnResponseDrift = (value: StopTurnResponse): Drift[] => {
  const report: DriftReport = new Map();
  const place0 = createPlace("", stopTurnResponseMembers, report);
  findUnknownMembers(place0, value, 1);
  return [...report.values()];
};

/** Returns the unknown members of a {@link ChangeModeResponse}, and the unknown values of its open enums. */
export const findChangeModeResponseDrift = (value: ChangeModeResponse): Drift[] => {
  const report: DriftReport = new Map();
  const place0 = createPlace("", changeModeResponseMembers, report);
  const place1 = createPlace("mode", ["default","standard","acceptEdits","bypassPermissions","unrestricted"], report);
  findUnknownMembers(place0, value, 1);
  findUnknownValue(place1, value.mode);
  return [...report.values()];
};

/** Returns the unknown members of a {@link ChangeDirectoryResponse}, and the unknown values of its open enums. */
export const findChangeDirectoryResponseDrift = (value: ChangeDirectoryResponse): Drift[] => {
  const report: DriftReport = new Map();
  const place0 = createPlace("", changeDirectoryResponseMembers, report);
  findUnknownMembers(place0, value, 1);
  return [...report.values()];
};

/** Returns the unknown members of a {@link ResumeQueueResponse}, and the unknown values of its open enums. */
export const findResumeQueueResponseDrift = (value: ResumeQueueResponse): Drift[] => {
  const report: DriftReport = new Map();
  const place0 = createPlace("", resumeQueueResponseMembers, report);
  findUnknownMembers(place0, value, 1);
  return [...report.values()];
};

/** Returns the unknown members of a {@link RemoveQueueItemResponse}, and the unknown values of its open enums. */
export const findRemoveQueueItemResponseDrift = (value: RemoveQueueItemResponse): Drift[] => {
  const report: DriftReport = new Map();
  const place0 = createPlace("", removeQueueItemResponseMembers, report);
  findUnknownMembers(place0, value, 1);
  return [...report.values()];
};

/** Returns the unknown members of a {@link ViewerTicket}, and the unknown values of its open enums. */
export const findViewerTicketDrift = (value: ViewerTicket): Drift[] => {
  const report: DriftReport = new Map();
  const place0 = createPlace("", viewerTicketMembers, report);
  findUnknownMembers(place0, value, 2);
  return [...report.values()];
};

/** Returns the unknown members of a {@link Problem}, and the unknown values of its open enums. */
export const findProblemDrift = (value: Problem): Drift[] => {
  const report: DriftReport = new Map();
  const place0 = createPlace("", problemMembers, report);
  const place1 = createPlace("errors[].", problemIssueMembers, report);
  const place2 = createPlace("parts.", deliveredPartsMembers, report);
  findUnknownMembers(place0, value, 7 + (value.errors === undefined ? 0 : 1) + (value.delivery === undefined ? 0 : 1) + (value["violated-policies"] === undefined ? 0 : 1) + (value.parts === undefined ? 0 : 1));
  if (value.errors !== undefined) {
    for (const item of value.errors) {
      findUnknownMembers(place1, item, 2);
    }
  }
  if (value.parts !== undefined) {
    findUnknownMembers(place2, value.parts, 3);
  }
  return [...report.values()];
};
