/**
 * The Worker of both entries, which choose whether it has sessions of the web console. The first request composes the gateway, because
 * before it a Worker has neither a clock nor random numbers. A request with other settings composes it again: the platform may keep an
 * isolate when only the bindings of a Worker change.
 */
import { randomId, systemClock } from "@letta-environments/platform/cloudflare";
import { type OpenApiDocument, openApiPath, problemResponse } from "@letta-environments/schema";
import type { Hono } from "hono";
import { createConsoleLogWriter } from "../../adapters/log.ts";
import { filterByLevel } from "../../adapters/log-event.ts";
import { describeDocument } from "../../adapters/open-api.ts";
import { createGatewayApp, toWebResponse } from "../../host/gateway.ts";
import { createHostRoutes } from "../../host/routes.ts";
import { webGatewayRequest } from "../../host/web-request.ts";
import { type GatewayRequest, withHeader } from "../../http/gateway-request.ts";
import { failureResponse, finishResponse } from "../../http/response.ts";
import { type ComposeSessions, composeWorker } from "./compose.ts";
import { resolveWorkerSettings, type WorkerBindings } from "./settings.ts";

/** A request as the platform passes it. */
type WorkerRequest = Request & { readonly cf?: { readonly colo?: string } };

/** The default export of an entry, which the platform calls. */
export interface Worker {
  fetch(request: WorkerRequest, bindings: WorkerBindings): Promise<Response>;
}

const log = filterByLevel("info", createConsoleLogWriter(systemClock.now));

type Gateway = Hono<{ Bindings: WorkerBindings }>;

type AnyBindings = Readonly<Record<string, unknown>>;

/** A gateway and the bindings that it was composed with. */
interface ComposedGateway {
  readonly bindings: AnyBindings;
  readonly gateway: Gateway;
}

/** How many gateways an isolate keeps: one for each of the two versions of a gradual deployment. */
const maxGateways = 2;

/**
 * Creates the Worker of an entry.
 *
 * @param composeSessions composes the sessions of the web console; absent: there is no console, and the bundle has no code for it
 */
export function createWorker(composeSessions?: ComposeSessions): Worker {
  /** The gateways of this isolate, the newest first. */
  let composed: readonly ComposedGateway[] = [];

  /** Returns the gateway with the settings of a request; `null` if they break a rule. */
  function gatewayFor(request: WorkerRequest, bindings: WorkerBindings): Gateway | null {
    const current = { ...bindings };
    const known = composed.find((one) => haveSameSettings(one.bindings, current));
    if (known !== undefined) return known.gateway;
    const gateway = compose(request, bindings);
    if (gateway !== null) composed = [{ bindings: current, gateway }, ...composed].slice(0, maxGateways);
    return gateway;
  }

  function compose({ cf }: WorkerRequest, bindings: WorkerBindings): Gateway | null {
    const resolved = resolveWorkerSettings({ ...bindings });
    if (!resolved.ok) {
      log({ type: "not_configured", problems: resolved.problems });
      return null;
    }
    const { pipeline, readReadiness } = composeWorker(
      resolved.settings,
      bindings,
      cf?.colo ?? "here",
      log,
      composeSessions,
    );
    return createGatewayApp<WorkerBindings>(pipeline, {
      routes: createHostRoutes({
        clock: systemClock,
        randomId,
        telemetry: log,
        addressOf: pipeline.addressOf,
        isDraining: () => false,
        readReadiness,
        openApi: () => readOpenApi(bindings.ASSETS),
        root: { page: composeSessions === undefined ? "docs" : "console/", handle: pipeline.handle },
      }),
      toGatewayRequest: ({ req }) => platformRequest(req.raw),
    });
  }

  return {
    async fetch(request, bindings) {
      try {
        const gateway = gatewayFor(request, bindings);
        return gateway === null ? notConfigured(request) : await gateway.fetch(request, bindings);
      } catch (cause) {
        const requestId = randomId("req");
        return toWebResponse(finishResponse(failureResponse(requestId, cause, log), requestId, request.method));
      }
    },
  };
}

/** The platform sets `CF-Connecting-IP` itself, whatever a client sends, and appends it to `X-Forwarded-For`, where no proxy added it. */
function platformRequest(raw: Request): GatewayRequest {
  const peer = raw.headers.get("cf-connecting-ip");
  const request = webGatewayRequest(raw, peer);
  return withHeader(request, (name) => {
    const value = request.header(name);
    if (name !== "x-forwarded-for" || value === null) return value;
    const hops = value.split(",");
    return hops.at(-1)?.trim() === peer ? hops.slice(0, -1).join() : value;
  });
}

/** Compares the settings among bindings. Objects of the platform are not compared, because it may create new ones for each request. */
function haveSameSettings(known: AnyBindings, bindings: AnyBindings): boolean {
  const names = Object.keys(bindings);
  return (
    names.length === Object.keys(known).length &&
    names.every((name) => known[name] === bindings[name] || settingOf(known, name) === settingOf(bindings, name))
  );
}

function settingOf(bindings: AnyBindings, name: string): unknown {
  const value = bindings[name];
  if (name === "PROXY_CONFIG") return JSON.stringify(value);
  return typeof value === "string" ? value : typeof value;
}

/** Reads the API description from the static assets, so that the Worker does not contain it. */
async function readOpenApi(assets: WorkerBindings["ASSETS"]): Promise<OpenApiDocument> {
  const response = await assets.fetch(`https://assets${openApiPath}`);
  return describeDocument(await response.text());
}

/** Responds to every request while the settings break a rule. Only the log contains the rule. */
function notConfigured({ method }: Request): Response {
  const response = problemResponse("internal_error", { detail: "The gateway is not configured. Its log says why." });
  return toWebResponse(finishResponse(response, randomId("req"), method));
}
