import type { ConnectedDevice, ConnectedViewer } from "@letta-environments/environment-server";
import type { Principal, PlainSocketListener } from "@letta-environments/schema";
import type { WatchedSockets } from "../../src/keys/socket-key-watch.ts";
import type { DeviceSockets } from "../../src/ports.ts";

/** Device sockets that accept every upgrade and exist only as a list. */
export interface FakeSockets extends WatchedSockets {
  /** Opens a socket through what wraps these ones, such as the watch of their keys. */
  open(wrapper: DeviceSockets): Promise<void>;
}

/** A listener that ignores everything. */
export const silentListener: PlainSocketListener = {
  maxFrameBytes: 0,
  maxTextBytes: 0,
  onMessage: () => undefined,
  onOtherFrame: () => false,
  onClose: () => undefined,
};
const socket = { send: () => undefined, close: () => undefined, terminate: () => undefined };

/** Creates {@link FakeSockets} that hold the given devices and viewers. `readTags` returns the tags of every device. */
export function fakeSockets(
  connected: readonly ConnectedDevice[],
  watching: readonly ConnectedViewer[] = [],
  readTags: () => Promise<readonly string[]> = () => Promise.resolve([]),
): FakeSockets {
  let devices = connected;
  let viewers = watching;
  return {
    redeemTicket: () => null,
    devices: { list: async () => [{ tags: await readTags() }] },
    connectedViewers: () => viewers,
    upgrade: () =>
      Promise.resolve({ kind: "accepted", owner: { tenant: "acme", keyId: "key" }, attach: () => silentListener }),
    connectedDevices: () => devices,
    closeEnded(isEnded) {
      devices = devices.filter((device) => !isEnded(device));
      viewers = viewers.filter((viewer) => !isEnded(viewer));
    },
    closeChanged(isChanged) {
      devices = devices.filter((device) => !isChanged(device));
    },
    async open(wrapper) {
      const request = { method: "GET", path: "/", query: "", headers: {}, body: null };
      const decision = await wrapper.upgrade(request, {} as Principal);
      if (decision.kind === "accepted") decision.attach(socket);
    },
  };
}
