/**
 * The event streams that are open in this process. A stream is authorised once, when it opens, and may stay open for days. So its credential is
 * authenticated again every second, and the stream ends when that is refused or gives other permissions than before: the client reconnects, and
 * continues after its last event with what its key may see now. If authentication is unavailable, the stream ends when the credential expires.
 */
import type { EnvironmentServer, EventStream, EventsRequest, StreamEnd } from "@letta-environments/environment-server";
import type { Clock } from "@letta-environments/platform";
import { eventStreamMediaType, type PlainResponse, problemResponse } from "@letta-environments/schema";
import type { CheckCredential, RequestCredential } from "../reauthentication.ts";
import type { StreamedResponse } from "../http/response.ts";
import type { Telemetry } from "../telemetry.ts";

/** How often credentials are authenticated again, in milliseconds. */
const checkIntervalMs = 1_000;

/** A request for a stream that has passed every check. */
export interface StreamRequest extends EventsRequest, RequestCredential {
  readonly requestId: string;
}

/** The streams of events that are open in this process. */
export interface EventStreams {
  /**
   * Opens a stream. The response is its head, with the stream as the body, or the refusal. Never rejects.
   *
   * @param check Checks its credential while it is open. It must follow reloads of the configuration itself, as `replaceCheck` does.
   */
  open(request: StreamRequest, check: CheckCredential): Promise<PlainResponse | StreamedResponse>;
  /** Ends every stream and refuses new ones, because the process stops. */
  end(): void;
}

interface OpenStream {
  readonly request: StreamRequest;
  readonly check: CheckCredential;
  readonly stream: EventStream;
  /** The principal as of the last check, with the current expiry. */
  principal: StreamRequest["principal"];
}

export interface EventStreamsOptions {
  readonly clock: Clock;
  readonly server: Pick<EnvironmentServer, "openEvents" | "endEvents">;
  readonly telemetry: Telemetry;
}

/** Creates {@link EventStreams} over the embedded server. */
export function createEventStreams({ clock, server, telemetry }: EventStreamsOptions): EventStreams {
  const streams = new Set<OpenStream>();
  let isStopping = false;
  let isChecking = false;

  function schedule(): void {
    if (isChecking || streams.size === 0) return;
    isChecking = true;
    clock.setTimer(checkIntervalMs, () => {
      // All at the same time: while the key store hangs, each takes the full timeout.
      void Promise.all([...streams].map(checkOne)).finally(() => {
        isChecking = false;
        schedule();
      });
    });
  }

  async function checkOne(open: OpenStream): Promise<void> {
    const { principal, request, check, stream } = open;
    const state = await check({ principal, authorization: request.authorization });
    if (state.kind === "same") open.principal = state.principal;
    else stream.end("credential_ended");
  }

  function track(open: OpenStream): void {
    streams.add(open);
    const startedAtMs = clock.monotonic();
    const { requestId, principal } = open.request;
    const { tenant, keyId } = principal;
    void open.stream.ended.then((reason: StreamEnd) => {
      streams.delete(open);
      const durationMs = Math.round(clock.monotonic() - startedAtMs);
      telemetry({ type: "stream_ended", requestId, tenant, keyId, reason, durationMs });
    });
    schedule();
  }

  return {
    async open(request, check) {
      if (isStopping) return problemResponse("shutting_down");
      const decision = await server.openEvents(request, request.principal);
      if (decision.kind === "refused") return decision.response;
      const { stream } = decision;
      if (isStopping) stream.end("shutdown");
      track({ request, check, stream, principal: request.principal });
      return { status: 200, headers: streamHeaders, body: null, stream: stream.stream };
    },
    end() {
      isStopping = true;
      server.endEvents();
    },
  };
}

// Some proxies buffer a response until it is complete; this field prevents that.
const streamHeaders: PlainResponse["headers"] = { "content-type": eventStreamMediaType, "x-accel-buffering": "no" };
