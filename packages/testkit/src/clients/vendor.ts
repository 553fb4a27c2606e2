/**
 * The vendor's client of the device protocol, from the pinned device package. It has no imports, so it runs without the rest of the
 * package.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { WebSocket } from "ws";

/** A frame of the device protocol. */
export type ProtocolFrame = Readonly<Record<string, unknown>> & { readonly type: string };

/** The methods of the vendor's `AppServerClient` that tests call. Each request waits for its response. */
export interface VendorClient {
  connect(): Promise<unknown>;
  close(): void;
  /** Receives every frame of the server. */
  onMessage(handler: (frame: ProtocolFrame) => void): () => void;
  onDisconnect(handler: (event: unknown) => void): () => void;
  send(frame: object): void;
  info(): Promise<ProtocolFrame>;
  runtimeStart(command: object): Promise<ProtocolFrame>;
  submitInput(command: object): Promise<ProtocolFrame>;
  sync(command: object): Promise<ProtocolFrame>;
  abort(command: object): Promise<ProtocolFrame>;
  resumeQueue(command: object): Promise<ProtocolFrame>;
  conversationList(command?: object): Promise<ProtocolFrame>;
}

// Some versions of the package export this file only for bundlers; its path is the same in every version seen.
const file = resolve(import.meta.dirname, "../../node_modules/@letta-ai/letta-code/dist/app-server-client.js");

/** Creates the vendor's client. It connects when it is created. */
export async function createVendorClient(options: {
  readonly url: string;
  readonly authToken?: string;
  readonly requestTimeoutMs?: number;
}): Promise<VendorClient> {
  const module = (await import(pathToFileURL(file).href)) as {
    readonly createAppServerClient: (options: object) => VendorClient;
  };
  return module.createAppServerClient({ ...options, WebSocket });
}
