/** Receives what happens at the sockets of devices. Called for every frame, so it must be cheap where nobody watches. */
export interface FrameWatch {
  /** A text frame arrived and is within the limits of its device. */
  received(environmentId: string, text: string): void;
  /** A device has connected. */
  connected(environmentId: string, connectionId: string): void;
  /** The socket of a device has ended. */
  disconnected(environmentId: string): void;
}
