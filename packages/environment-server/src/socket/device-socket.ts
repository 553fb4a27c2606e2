import type { PlainResponse } from "@letta-environments/schema";

/** An open WebSocket to a device, as a runtime provides it. */
export interface DeviceSocket {
  /** Sends a text frame, and throws only when none of it was written, as on a socket that is closing. */
  send(text: string): void;
  /** Starts the closing handshake (RFC 6455 section 7.1.2). */
  close(code: number, reason: string): void;
  /** Drops the connection without a handshake. */
  terminate(): void;
}

/** What a runtime calls about a socket. */
export interface DeviceSocketListener {
  /** A text frame arrived. Runtimes refuse frames over 16 MiB themselves. */
  onMessage(text: string): void;
  /** The socket is closed; nothing follows. 1005 stands for no code, 1006 for no closing handshake. */
  onClose(code: number): void;
}

/** A device with an open socket, and the credential that opened it. */
export interface ConnectedDevice {
  readonly tenant: string;
  readonly keyId: string;
  /** `credentialId` of the principal that opened the socket; `null` where it has none. */
  readonly credentialId: string | null;
  readonly deviceId: string;
  readonly connectionName: string;
}

/** Whether a device may open its socket. A refusal is the answer to the upgrade request, before any handshake. */
export type UpgradeDecision =
  | { readonly kind: "refused"; readonly response: PlainResponse }
  | {
      readonly kind: "accepted";
      /** To be called once the handshake is done. */
      attach(socket: DeviceSocket): DeviceSocketListener;
    };
