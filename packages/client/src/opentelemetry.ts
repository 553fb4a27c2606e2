/** The module `@letta-environments/client/opentelemetry`: traces calls of the client. The program sets up the SDK and its exporters. */
import { context, propagation, type Span, SpanKind, SpanStatusCode, trace, type Tracer } from "@opentelemetry/api";
import type { TransportEvent } from "./options.ts";
import type { Call, Middleware } from "./request.ts";

/** Options of {@link openTelemetry}. */
export interface OpenTelemetryOptions {
  /** Default: the global provider's tracer `@letta-environments/client`. */
  readonly tracer?: Tracer | undefined;
  /** Sends the `traceparent` header, which the server must allow for browsers. Default `false`. */
  readonly propagate?: boolean | undefined;
}

/** Client options that trace its calls. */
export interface OpenTelemetryHooks {
  readonly middleware: Middleware;
  readonly onEvent: (event: TransportEvent) => void;
}

/**
 * Traces calls with OpenTelemetry: `createClient({ baseUrl, apiKey, ...openTelemetry() })`. Each call is a span named after its
 * operation, with an event for each retry. Each attempt is a client span below it that follows the HTTP semantic conventions.
 * Spans contain no key, body, query or message id.
 */
export function openTelemetry(options: OpenTelemetryOptions = {}): OpenTelemetryHooks {
  const tracer = options.tracer ?? trace.getTracer("@letta-environments/client");
  const spans = new WeakMap<Call, Span>();
  return {
    onEvent(event) {
      if (event.type === "start") return void spans.set(event.call, tracer.startSpan(event.call.operation));
      const span = spans.get(event.call);
      if (event.type === "retry") {
        const { attempt, delayMs, error } = event;
        return void span?.addEvent("retry", { attempt, "delay.ms": delayMs, "error.type": error.code });
      }
      if (event.error) markFailed(span, event.error.code);
      span?.end();
    },
    async middleware(request, next) {
      const parent = spans.get(request.call);
      const active = parent === undefined ? context.active() : trace.setSpan(context.active(), parent);
      const { origin, pathname, hostname, protocol, port } = new URL(request.url);
      const attributes = {
        "http.request.method": request.method,
        "url.full": origin + pathname.replace(/(\/messages\/)[^/]+$/, "$1REDACTED"),
        "server.address": hostname,
        "server.port": Number(port) || (protocol === "https:" ? 443 : 80),
        ...(request.attempt > 1 && { "http.request.resend_count": request.attempt - 1 }),
      };
      const span = tracer.startSpan(request.method, { kind: SpanKind.CLIENT, attributes }, active);
      const headers: Record<string, string> = { ...request.headers };
      if (options.propagate === true) propagation.inject(trace.setSpan(active, span), headers);
      try {
        const response = await next({ ...request, headers });
        span.setAttribute("http.response.status_code", response.status);
        if (response.status >= 400) markFailed(span, String(response.status));
        return response;
      } catch (error) {
        markFailed(span, error instanceof Error ? error.name : "_OTHER");
        throw error;
      } finally {
        span.end();
      }
    },
  };
}

function markFailed(span: Span | undefined, type: string): void {
  span?.setAttribute("error.type", type);
  span?.setStatus({ code: SpanStatusCode.ERROR });
}
