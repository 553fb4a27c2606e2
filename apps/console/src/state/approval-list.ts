import { type Approval, type ApprovalList, listApprovals } from "@letta-environments/client";
import { failureText, transport } from "./api.ts";

/** Reads the requests for permission that wait, the oldest first. Resolves with the reason if they cannot be read. */
export async function readApprovals(): Promise<readonly Approval[] | string> {
  try {
    const all: Approval[] = [];
    let after: string | undefined;
    do {
      const page: ApprovalList = await listApprovals(transport, { limit: 100, after });
      all.push(...page.approvals);
      after = page.hasNextPage ? (page.cursor ?? undefined) : undefined;
    } while (after !== undefined);
    return all;
  } catch (error) {
    return failureText(error);
  }
}
