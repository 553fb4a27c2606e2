/** Connects the tracker of requests for permission to the server: causes, denials in the name of policies, and older devices. */
import { type ApprovalTracker, createApprovalTracker } from "../../approvals/tracker.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { ServerContext } from "../context.ts";
import { noteApprovals } from "../events/sources.ts";
import { denyByPolicy } from "../send.ts";

/** Creates the approval tracker. The tracker and the server need each other, so `server` must not be called before both exist. */
export function connectTracker({
  clock,
  sha256,
  store,
  emit,
  messages,
  time,
  track,
  feed,
  server,
}: Pick<ServerContext, "clock" | "sha256" | "store" | "emit" | "messages" | "time"> & {
  /** Makes the end of the server wait for work. */
  readonly track: <Result>(work: Promise<Result>) => Promise<Result>;
  /** Receives the changes of requests. */
  readonly feed: Pick<ChangeFeed, "approval">;
  readonly server: () => ServerContext;
}): ApprovalTracker {
  return createApprovalTracker({
    clock,
    sha256,
    log: store,
    emit,
    onChange: noteApprovals(feed),
    wallNow: time.wall,
    causeOf: messages.causeOf,
    policiesOf: messages.policiesOf,
    deny: (approval) =>
      track(denyByPolicy(server(), approval)).catch((cause: unknown) => {
        emit({ type: "request_failed", operation: "denyByPolicy", cause });
        return "failed";
      }),
    onGone(environmentId, deliveryId, isTurnOver) {
      // When the turn is over, the device may have ended it without reading the decision: its acknowledgement says which.
      if (isTurnOver) return;
      const { hub, pending } = server();
      const connection = hub.onlineConnectionOf(environmentId);
      if (connection?.acknowledging === "no")
        return void pending.acknowledge(connection.device, deliveryId, { kind: "accepted", disposition: null });
      // Other devices say so themselves, but 0.32.18 may do it when the rest of the turn is over.
      pending.noteReported(environmentId, deliveryId, null);
    },
  });
}
