/**
 * Where the extensions of the API join the gateway, which `extensions.ts` composes: control and its audit records, message status, requests for
 * permission, events, viewers, and the management of devices at a remote upstream. The pipeline knows only these interfaces. Without extensions a
 * gateway serves the vendor's API: the list, single environments and sends, and the endpoints for devices.
 */
import type {
  MatchedEndpoint,
  Operation,
  PlainRequest,
  PlainResponse,
  UpgradeDecision,
} from "@letta-environments/schema";
import type { BeginAction } from "./audit/actions.ts";
import type { AuditLog } from "./audit/log.ts";
import type { GatewayPrincipal } from "./auth/authentication.ts";
import type { CheckCredential } from "./reauthentication.ts";
import type { Cors } from "./http/cors.ts";
import type { GatewayRequest } from "./http/gateway-request.ts";
import type { ValidRequest } from "./http/validate-request.ts";
import type { MaybePromise } from "./lib/steps.ts";
import type { AuthenticateRequest } from "./limits/authentication.ts";
import type { RequestLimits } from "./limits/request-limits.ts";
import type { DeviceSockets, GatewayPorts } from "./ports.ts";
import type { ConnectRemoteExtensions } from "./upstream/remote.ts";
import type { Upstream } from "./upstream/upstream.ts";

/** The extensions of a process. They survive a reload, which replaces the pipeline. */
export interface Extensions {
  /** Returns the function that prepares the operations of extensions at a remote upstream. `services` audit changes of devices. */
  connectRemote(services: Pick<ExtensionParts, "audit" | "telemetry">): ConnectRemoteExtensions;
  /** Creates the hooks of a pipeline. Sockets that are already open use its parts from now on. */
  createSteps(parts: ExtensionParts): ExtensionSteps;
  /** Ends open event streams, which would keep their requests in progress, because the process stops. */
  end(): void;
}

/** Parts of the gateway that extensions use. */
export interface ExtensionParts extends GatewayPorts {
  readonly audit: AuditLog | null;
  /** Receives the cause when an audit entry of a request cannot be written. */
  readonly onAuditFailure: (requestId: string, cause: unknown) => void;
  readonly authenticate: AuthenticateRequest;
  /** Re-authenticates the credential of an earlier request. Does not count as a request. */
  readonly checkCredential: CheckCredential;
  readonly cors: Cors;
  readonly limits: RequestLimits | null;
  readonly upstream: Pick<Upstream, "findConnection">;
  readonly deviceSockets: DeviceSockets | null;
  /** Runs a frame of an open socket as a request, once the pipeline is composed. */
  readonly handleAs: HandleAs;
}

/** Runs the steps of the API for a request whose caller is known. */
export type HandleAs = (request: GatewayRequest, caller: GatewayPrincipal) => Promise<PlainResponse>;

/** Hooks that the pipeline's steps call. A hook returns `null` for a request that it does not handle; the step then continues as without it. */
export interface ExtensionSteps {
  /** Authenticates a request without its `Authorization` header. */
  authenticate(request: GatewayRequest, matched: MatchedEndpoint): ReturnType<AuthenticateRequest> | null;
  /** Returns the function that begins the audit record of an operation. */
  beginControl(operation: Operation): BeginAction | null;
  /** Responds to an authorised request in place of the upstream. */
  respond(request: GatewayRequest, authorised: AuthorisedExtension): MaybePromise<PlainResponse> | null;
  /** Decides on a socket that does not belong to a device. */
  openSocket(request: GatewayRequest, authorised: AuthorisedSocket): MaybePromise<UpgradeDecision> | null;
}

/** An authorised request whose input is valid. */
export interface AuthorisedExtension {
  readonly input: ValidRequest;
  readonly principal: GatewayPrincipal;
  readonly state: { readonly requestId: string };
}

/** An authorised request for a socket. */
export interface AuthorisedSocket extends MatchedEndpoint {
  readonly principal: GatewayPrincipal;
  readonly sockets: DeviceSockets;
  /** The request as `sockets` receives it. */
  readonly forwarded: PlainRequest;
}
