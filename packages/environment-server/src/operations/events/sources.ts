/** The sources of changes in devices and messages: the rows as events show them, and who may see them. */
import type { ApprovalTrackerOptions } from "../../approvals/state.ts";
import type { ChangesOptions } from "../../changes/changes.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { EnvironmentRow, EnvironmentRows } from "../../ports.ts";
import { presentApproval } from "../approvals/list.ts";
import { presentMessage } from "../messages/status.ts";
import type { Presentation } from "../presentation.ts";

/** Creates the sources. `presentation` is called with the first change. */
export function createChangeSources(
  store: Pick<EnvironmentRows, "findEnvironments" | "listEnvironments">,
  presentation: () => Pick<Presentation, "inEvents">,
): Pick<ChangesOptions, "identify" | "readEnvironment" | "listEnvironments" | "presentMessage"> {
  type Device = Parameters<ChangesOptions["identify"]>[0];
  async function find({ tenant, deviceId, environmentId }: Device): Promise<EnvironmentRow | undefined> {
    const rows = await store.findEnvironments(tenant, deviceId);
    return rows.find(({ id }) => id === environmentId);
  }
  return {
    async identify(device) {
      const row = await find(device);
      return row === undefined ? null : { connectionName: row.connectionName, tags: row.tags };
    },
    async readEnvironment(device) {
      const row = await find(device);
      return row === undefined ? null : presentation().inEvents(row);
    },
    listEnvironments: (filter) => store.listEnvironments(filter),
    presentMessage: (message, deviceId, withText) =>
      presentMessage({ scopes: new Set(withText ? ["view"] : []) }, message, deviceId),
  };
}

/** Makes changes of requests for permission events. */
export function noteApprovals(feed: Pick<ChangeFeed, "approval">): ApprovalTrackerOptions["onChange"] {
  return (change, approval) =>
    feed.approval(approval.scope, (device) => ({ change, approval: presentApproval(device, approval) }));
}
