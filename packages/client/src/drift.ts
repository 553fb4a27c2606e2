/** Reports members and enum values of responses that are newer than this package. */
import {
  type Drift,
  findApprovalListDrift,
  findChangeDirectoryResponseDrift,
  findChangeModeResponseDrift,
  findEnvironmentDrift,
  findEnvironmentListDrift,
  findLastRuntimeDrift,
  findMessageListDrift,
  findMessageStatusDrift,
  findRemoveQueueItemResponseDrift,
  findResumeQueueResponseDrift,
  findSendMessageResponseDrift,
  findStopTurnResponseDrift,
} from "@letta-environments/schema/drift";
import {
  isApprovalList,
  isChangeDirectoryResponse,
  isChangeModeResponse,
  isEnvironment,
  isEnvironmentList,
  isLastRuntime,
  isMessageList,
  isMessageStatus,
  isRemoveQueueItemResponse,
  isResumeQueueResponse,
  isSendMessageResponse,
  isStopTurnResponse,
} from "@letta-environments/schema/guards";
import type { SuccessResponse } from "./options.ts";

export type { Drift } from "@letta-environments/schema/drift";

/**
 * Creates an `onDrift` hook that calls `report` for each unknown member and each unknown enum value of a response. Responses
 * that differ from the documented shape are left to `onMismatch`. Events of streams are not checked.
 */
export function createDriftReporter(
  report: (drift: Drift, success: SuccessResponse) => void,
): (success: SuccessResponse) => void {
  return (success) => {
    for (const drift of findDrift(success.data)) report(drift, success);
  };
}

function findDrift(value: unknown): readonly Drift[] {
  for (const find of finders) {
    const drifts = find(value);
    if (drifts) return drifts;
  }
  return [];
}

/** The drift of a response; `undefined` for one of another operation. */
type Finder = (value: unknown) => readonly Drift[] | undefined;

function finder<Value>(isValid: (value: unknown) => value is Value, find: (value: Value) => Drift[]): Finder {
  return (value) => (isValid(value) ? find(value) : undefined);
}

/**
 * No response has all required members of another type. Types with many required members come first, in case a newer server adds one of
 * them to another type.
 */
const finders: readonly Finder[] = [
  finder(isEnvironmentList, findEnvironmentListDrift),
  finder(isEnvironment, findEnvironmentDrift),
  finder(isMessageList, findMessageListDrift),
  finder(isMessageStatus, findMessageStatusDrift),
  finder(isApprovalList, findApprovalListDrift),
  finder(isLastRuntime, findLastRuntimeDrift),
  finder(isSendMessageResponse, findSendMessageResponseDrift),
  finder(isStopTurnResponse, findStopTurnResponseDrift),
  finder(isChangeModeResponse, findChangeModeResponseDrift),
  finder(isChangeDirectoryResponse, findChangeDirectoryResponseDrift),
  finder(isResumeQueueResponse, findResumeQueueResponseDrift),
  finder(isRemoveQueueItemResponse, findRemoveQueueItemResponseDrift),
];
