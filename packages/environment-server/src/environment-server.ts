import type { Clock, RandomId, Sha256 } from "@letta-environments/platform";
import {
  type EndpointMatch,
  openApiResponse,
  matchEndpoint,
  openApiPath,
  type OpenApiSource,
  type PlainRequest,
  type PlainResponse,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import { createPendingDeliveries } from "./delivery/pending-deliveries.ts";
import { createEmitter, type EnvironmentServerEvent } from "./events.ts";
import { defaultSettleMs } from "./limits.ts";
import { checkScope } from "./operations/check-scope.ts";
import { decideUpgrade } from "./operations/decide-upgrade.ts";
import { listEnvironments } from "./operations/list-environments.ts";
import type { RequestContext, ServerContext } from "./operations/operation-context.ts";
import { registerEnvironment } from "./operations/register-environment.ts";
import { retrieveEnvironment } from "./operations/retrieve-environment.ts";
import { sendMessage } from "./operations/send-message.ts";
import type { EnvironmentStore } from "./ports.ts";
import { createSerialLanes } from "./serial-lanes.ts";
import { createDeviceHub } from "./socket/device-hub.ts";
import type { ConnectedDevice, UpgradeDecision } from "./socket/device-socket.ts";

/** What an environment server needs. */
export interface EnvironmentServerOptions {
  readonly store: EnvironmentStore;
  readonly clock: Clock;
  readonly sha256: Sha256;
  readonly randomId: RandomId;
  /** Name of this process, shown as `podId` of the devices it holds. */
  readonly podId: string;
  /** Where devices reach the server, such as `https://gateway.example/base`; `null` takes each request's own origin. */
  readonly publicUrl: string | null;
  /** Milliseconds that a device is left alone after its socket opened, so that it is ready for its first message; 300 when absent. */
  readonly settleMs?: number;
  /** What is told at `/openapi.json`, to whoever asks; absent where that is not served. */
  readonly openApi?: OpenApiSource;
  /** Takes events for logs and metrics. */
  readonly onEvent?: (event: EnvironmentServerEvent) => void;
}

/** The environment server: an HTTP API as a function, and the devices' sockets. */
export interface EnvironmentServer {
  /**
   * Answers a request of a principal. Every failure is a problem response; the promise rejects only with the reason of an
   * aborted `signal`.
   */
  handle(request: PlainRequest, principal: Principal, context: RequestContext): Promise<PlainResponse>;
  /** Decides about a device's upgrade request, before any handshake. */
  upgrade(request: PlainRequest, principal: Principal): Promise<UpgradeDecision>;
  /** The devices that hold a socket here, for whoever decides whether their keys are still good. */
  connectedDevices(): readonly ConnectedDevice[];
  /**
   * Closes the sockets of the devices that `isEnded` names, with 1008. Call it once their keys are refused at register: a
   * device registers again at once, and ends when it is told no there.
   */
  closeEnded(isEnded: (device: ConnectedDevice) => boolean): void;
  /** Refuses new work, closes the sockets, and resolves when everything that is known is stored. */
  close(): Promise<void>;
}

/** Creates an environment server over a store. It owns no port and no timer but those of its clock. */
export function createEnvironmentServer(options: EnvironmentServerOptions): EnvironmentServer {
  const { store, clock, randomId } = options;
  const emit = createEmitter(options.onEvent);
  const pending = createPendingDeliveries({ clock, log: store, emit });
  const hub = createDeviceHub({ clock, randomId, store, pending, emit });
  const running = new Set<Promise<unknown>>();
  let closing = false;
  const context: ServerContext = {
    ...options,
    settleMs: options.settleMs ?? defaultSettleMs,
    emit,
    pending,
    hub,
    lanes: createSerialLanes(),
    isClosing: () => closing,
  };

  /** Runs a request so that {@link EnvironmentServer.close} can wait for it. */
  async function track<Result>(run: () => Promise<Result>): Promise<Result> {
    const result = run();
    running.add(result);
    try {
      return await result;
    } finally {
      running.delete(result);
    }
  }

  function reportFailure(operation: string, cause: unknown): PlainResponse {
    emit({ type: "request_failed", operation, cause });
    return problemResponse("internal_error");
  }

  return {
    async handle(request, principal, requestContext) {
      if (closing) return problemResponse("shutting_down");
      if (options.openApi !== undefined && request.path === openApiPath)
        return describeApi(request, options.openApi, reportFailure);
      const match = matchEndpoint(request.method, request.path);
      if (match.kind === "refused") return match.response;
      const denied = checkScope(match.endpoint, principal);
      const response =
        denied ??
        (await track(() => operate(context, match, request, principal, requestContext)).catch((cause: unknown) => {
          if (requestContext.signal?.aborted === true && cause === requestContext.signal.reason) throw cause;
          return reportFailure(match.endpoint.operation, cause);
        }));
      return request.method === "HEAD" ? { ...response, body: null } : response;
    },
    async upgrade(request, principal) {
      if (closing) return { kind: "refused", response: problemResponse("shutting_down") };
      return track(() => decideUpgrade(context, request, principal)).catch((cause: unknown) => {
        return { kind: "refused", response: reportFailure("openDeviceSocket", cause) };
      });
    },
    connectedDevices: hub.connectedDevices,
    closeEnded: hub.closeEnded,
    async close() {
      closing = true;
      const socketsClosed = hub.close();
      await pending.close();
      await Promise.allSettled(running);
      await socketsClosed;
    },
  };
}

async function describeApi(
  { method, headers }: PlainRequest,
  source: OpenApiSource,
  reportFailure: (operation: string, cause: unknown) => PlainResponse,
): Promise<PlainResponse> {
  const answer = openApiResponse(method, headers["if-none-match"] ?? null, source);
  const response = await answer.catch((cause: unknown) => reportFailure("describeApi", cause));
  return method === "HEAD" ? { ...response, body: null } : response;
}

function operate(
  context: ServerContext,
  { endpoint, params }: EndpointMatch & { readonly kind: "matched" },
  request: PlainRequest,
  principal: Principal,
  requestContext: RequestContext,
): Promise<PlainResponse> {
  switch (endpoint.operation) {
    case "listEnvironments":
      return listEnvironments(context, request, principal);
    case "retrieveEnvironment":
      return retrieveEnvironment(context, params["deviceId"] ?? "", principal);
    case "sendMessage":
      return sendMessage(context, params["connectionId"] ?? "", request, principal, requestContext);
    case "registerEnvironment":
      return registerEnvironment(context, request, principal, requestContext);
    case "openDeviceSocket":
      // RFC 9110 section 15.5.22: a 426 names what to upgrade to.
      return Promise.resolve(
        problemResponse("upgrade_required", { headers: { upgrade: "websocket", connection: "Upgrade" } }),
      );
  }
}
