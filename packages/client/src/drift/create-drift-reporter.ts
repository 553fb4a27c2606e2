import {
  type Drift,
  findEnvironmentDrift,
  findEnvironmentListDrift,
  findSendMessageResponseDrift,
} from "@letta-environments/schema/drift";
import { isEnvironment, isEnvironmentList, isSendMessageResponse } from "@letta-environments/schema/guards";
import type { Answer } from "../transport-event.ts";

export type { Drift } from "@letta-environments/schema/drift";

/**
 * Makes an `onDrift` hook that looks for members and enum values which are newer than this package and tells each by its path. An
 * answer of another shape is left to `onMismatch`.
 */
export function createDriftReporter(tell: (drift: Drift, answer: Answer) => void): (answer: Answer) => void {
  return (answer) => {
    for (const drift of findDrift(answer.data)) tell(drift, answer);
  };
}

function findDrift(value: unknown): readonly Drift[] {
  if (isEnvironmentList(value)) return findEnvironmentListDrift(value);
  if (isEnvironment(value)) return findEnvironmentDrift(value);
  return isSendMessageResponse(value) ? findSendMessageResponseDrift(value) : [];
}
