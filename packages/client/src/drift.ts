/** Reports members and enum values of responses that are newer than this package. */
import {
  type Drift,
  findEnvironmentDrift,
  findEnvironmentListDrift,
  findSendMessageResponseDrift,
} from "@letta-environments/schema/drift";
import { isEnvironment, isEnvironmentList, isSendMessageResponse } from "@letta-environments/schema/guards";
import type { SuccessResponse } from "./options.ts";

export type { Drift } from "@letta-environments/schema/drift";

/**
 * Creates an `onDrift` hook that calls `report` for each unknown member and each unknown enum value of a response. Responses
 * of another shape than documented are left to `onMismatch`.
 */
export function createDriftReporter(
  report: (drift: Drift, success: SuccessResponse) => void,
): (success: SuccessResponse) => void {
  return (success) => {
    for (const drift of findDrift(success.data)) report(drift, success);
  };
}

function findDrift(value: unknown): readonly Drift[] {
  if (isEnvironmentList(value)) return findEnvironmentListDrift(value);
  if (isEnvironment(value)) return findEnvironmentDrift(value);
  return isSendMessageResponse(value) ? findSendMessageResponseDrift(value) : [];
}
