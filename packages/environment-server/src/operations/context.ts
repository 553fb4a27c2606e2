/** The arguments that operations share: the parts of the server, facts about the request, and one frame of a request to a device. */
import type { Clock, RandomId, Sha256 } from "@letta-environments/platform";
import type { DeviceLabels, PlainResponse, Principal, Refused } from "@letta-environments/schema";
import type { DeviceCommands } from "../device-commands/device-commands.ts";
import type { ApprovalTracker } from "../approvals/tracker.ts";
import type { Changes } from "../changes/changes.ts";
import type { PendingDeliveries } from "../delivery/pending.ts";
import type { DeliveryPart, DeliveryPlan } from "../delivery/plan.ts";
import type { EmitEvent } from "../log-events.ts";
import type { KeyedQueue } from "../keyed-queue.ts";
import type { MessageTracker } from "../messages/tracker.ts";
import type { ConnectionRecord, ConversationScope, EnvironmentStore } from "../ports.ts";
import type { DeviceCallContext, DeviceCallProgress, DeviceRouter } from "../routing/router.ts";
import type { DeviceHub } from "../socket/hub.ts";
import type { StoredTime } from "../time/stored-time.ts";
import type { ViewerHub } from "../viewers/hub.ts";
import type { ViewerTickets } from "../viewers/tickets.ts";
import type { MessageOrder } from "./conversations/order.ts";
import type { DeviceAdministration } from "./devices.ts";
import type { Presentation } from "./presentation.ts";
import type { RemovalWatch } from "./removal-watch.ts";

/** The parts of the server that its operations share. */
export interface ServerContext {
  readonly store: EnvironmentStore;
  readonly clock: Clock;
  readonly sha256: Sha256;
  readonly randomId: RandomId;
  readonly podId: string;
  readonly publicUrl: string | null;
  readonly settleMs: number;
  readonly hub: DeviceHub;
  readonly router: DeviceRouter;
  /** The router reaches other servers, which share the store: what is in memory may have changed there. */
  readonly hasOtherServers: boolean;
  readonly presentation: Presentation;
  readonly removals: RemovalWatch;
  readonly devices: DeviceAdministration;
  readonly pending: PendingDeliveries;
  readonly messages: MessageTracker;
  readonly commands: DeviceCommands;
  readonly approvals: ApprovalTracker;
  readonly viewers: ViewerHub;
  readonly tickets: ViewerTickets;
  readonly changes: Changes;
  readonly queue: KeyedQueue;
  readonly order: MessageOrder;
  readonly emit: EmitEvent;
  readonly time: StoredTime;
  /** Calls `run` when the server closes. Returns a function that stops it. */
  readonly onClose: (run: () => void) => () => void;
  /** True once the server is closing. Nothing is sent from then on. */
  readonly isClosing: () => boolean;
}

/** Facts about a request that are not part of its input. */
export interface RequestContext extends DeviceCallContext {
  /**
   * Origin under which the request reached the server, such as `http://127.0.0.1:8787`; `null` when unknown. A device opens
   * its socket there when no public URL is configured.
   */
  readonly authority: string | null;
  /** Labels for the device that registers, if it belonged to no key and the principal's key becomes its owner. */
  readonly labels?: DeviceLabels | null;
  /** Called before a device is enrolled, when only the rows that are stored can still refuse it. A response refuses it. */
  readonly beforeEnrol?: (() => Promise<PlainResponse | null>) | undefined;
  /**
   * The administration through which the principal changes a device, such as one that audits changes; the server's own when absent.
   * If it rejects with a {@link ChangeRefusedError}, the caller receives the response of the error.
   */
  readonly devices?: DeviceAdministration;
}

/** Returns the principal with its present permissions, or the response that refuses the request. */
export type Decide = () => Promise<{ readonly kind: "permitted"; readonly principal: Principal } | Refused>;

/** One frame of a request to a device. */
export interface Send {
  readonly server: ServerContext;
  readonly record: ConnectionRecord;
  readonly scope: ConversationScope;
  readonly part: DeliveryPart;
  /** The whole body. Set for the first part only: the later decisions are checked before anything is sent. */
  readonly plan?: DeliveryPlan;
  readonly principal: Pick<Principal, "keyId" | "agentIds" | "maxMode" | "setMode" | "modeCeiling" | "approvalPolicy">;
  /** Decides again whether the frame may be sent, once it has waited; absent for a frame of the server itself. */
  readonly decide?: Decide;
  /** The number of its request: a later one has a higher number. Absent for a frame of the server itself. */
  readonly arrival?: number;
  /** The keyId if the limits of the key may need a query to the device: the sends of such a key have their own order. Otherwise `null`. */
  readonly separateQueueKeyId: string | null;
  /** No other message of a key that sets a mode can leave for the conversation, or switch it, until this one has left. */
  readonly hasModeTurn?: true;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: DeviceCallProgress | undefined;
  readonly traceId?: string | null | undefined;
}
