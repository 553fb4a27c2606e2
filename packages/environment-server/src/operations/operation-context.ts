import type { Clock, RandomId, Sha256 } from "@letta-environments/platform";
import type { PendingDeliveries } from "../delivery/pending-deliveries.ts";
import type { EmitEvent } from "../events.ts";
import type { EnvironmentStore } from "../ports.ts";
import type { SerialLanes } from "../serial-lanes.ts";
import type { DeviceHub } from "../socket/device-hub.ts";

/** What the operations share. */
export interface ServerContext {
  readonly store: EnvironmentStore;
  readonly clock: Clock;
  readonly sha256: Sha256;
  readonly randomId: RandomId;
  readonly podId: string;
  readonly publicUrl: string | null;
  /** Milliseconds that a device is left alone after its socket opened. */
  readonly settleMs: number;
  readonly hub: DeviceHub;
  readonly pending: PendingDeliveries;
  readonly lanes: SerialLanes;
  readonly emit: EmitEvent;
  /** Set once the server is closing; nothing is sent from then on. */
  readonly isClosing: () => boolean;
}

/** What a request brings besides itself. */
export interface RequestContext {
  /**
   * The origin under which the request reached the server, such as `http://127.0.0.1:8787`; a device is sent there when no
   * public URL is configured. `null` when it is not known.
   */
  readonly authority: string | null;
  /** Aborted when the caller has gone. A message that was already written to a device is not taken back. */
  readonly signal?: AbortSignal;
}
