/** Requests of the page: the typed client with the cookie in place of a key, and the administration. */
import {
  createTransport,
  isLettaEnvironmentsError,
  type ProblemIssue,
  type StreamedEvent,
  streamEvents,
  type Transport,
} from "@letta-environments/client";
import { signal } from "@preact/signals";
import { gatewayUrl, pause } from "../platform/browser.ts";
import { awaitSignOut, jsonRequest, keyHeader, noteSessionEnd } from "./session.ts";

/**
 * Whether events arrive. `polling`: this gateway has none, so the list is polled. `refused`: the key may not read any, so there is nothing to
 * wait for.
 */
export const connection = signal<"connecting" | "live" | "polling" | "lost" | "refused">("connecting");

/** Why the gateway refused the events; `null` if it did not, or does not respond. */
export const connectionFailure = signal<string | null>(null);

/** How long the gateway recognises the id of a message, as it declared last, in seconds; 0: not at all, or it has not said so yet. */
export const recognisedSeconds = signal(0);

/** The client's transport. The cookie of the session authenticates, so the key is left out of every request. */
export const transport: Transport = createTransport({
  baseUrl: gatewayUrl(),
  apiKey: "session",
  allowInsecure: true,
  middleware: async (request, next) => {
    await awaitSignOut();
    const { authorization: _unused, ...headers } = request.headers;
    const response = await next({ ...request, headers: { ...headers, ...keyHeader() } });
    recognisedSeconds.value = Number(response.headers.get("x-message-deduplication") ?? recognisedSeconds.value);
    return response;
  },
  onEvent(event) {
    if (event.type !== "end") return;
    const { error, call } = event;
    if (error?.status === 401) noteSessionEnd();
    // The stream of one device may fail while the events of the page arrive.
    else if (call.url.endsWith("/events") && error !== undefined && error.code !== "aborted" && error.retryable)
      connection.value = "lost";
  },
});

const silent = "The gateway does not respond. Try again in a moment.";
const silentChange = "The gateway does not respond, so it may or may not have done this. Look before you try again.";

/** The text of a failure, for people. @param kind of the request that has failed; without a response, a change may have happened */
export function failureText(cause: unknown, kind: "read" | "change" = "read"): string {
  if (isLettaEnvironmentsError(cause)) {
    if (cause.code === "connection_failed" || cause.code === "timeout") return kind === "read" ? silent : silentChange;
    return cause.problem?.detail ?? cause.message;
  }
  return cause instanceof Error ? cause.message : String(cause);
}

/** A refusal of the administration. */
export class AdminError extends Error {
  override readonly name = "AdminError";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Sends a request to the administration. @throws AdminError; Error if the user has signed out meanwhile */
export async function administer<Body>(method: "GET" | "POST" | "PATCH", path: string, body?: object): Promise<Body> {
  await awaitSignOut();
  const response = await fetch(`${gatewayUrl()}/admin/v1/${path}`, jsonRequest(method, body)).catch(() => null);
  if (response === null) throw new AdminError(0, method === "GET" ? silent : silentChange);
  if (response.status === 401) noteSessionEnd();
  const result = (await response.json().catch(() => ({}))) as Body & {
    readonly detail?: string;
    readonly errors?: readonly ProblemIssue[];
  };
  if (response.ok) return result;
  const issues = (result.errors ?? []).map(({ member, rule }) => `${member} ${rule}`).join("; ");
  throw new AdminError(response.status, issues || (result.detail ?? `The gateway responded with ${response.status}.`));
}

/** A stream of events that is followed. */
interface FollowedStream {
  readonly deviceId?: string;
  readonly include?: "output" | undefined;
  /** The event after which it begins. `oldest`: with the oldest event that the gateway has. Absent: it begins now. */
  readonly lastEventId?: string | undefined;
  readonly signal: AbortSignal;
  readonly onOpen: () => void;
  /** Called when an open stream has ended, including when nothing has arrived for 45 s: the gateway sends something every 15 s. */
  readonly onClose?: () => void;
  readonly onEvent: (event: StreamedEvent) => void;
  /** Called with the reason when the gateway refuses the stream, which is opened again after a while. */
  readonly onFailure: (text: string, isMissingScope: boolean) => void;
}

/** Time within which a stream opens, in milliseconds: the page says "Connecting" meanwhile. */
const openMs = 10_000;

/** Time between a refused stream and the next one, in milliseconds. */
const refusedMs = 30_000;

/** Follows a stream of events. Resolves with whether the gateway has no events; otherwise when the signal or the session ends. */
export async function followEvents({ onEvent, onFailure, ...options }: FollowedStream): Promise<boolean> {
  let { lastEventId } = options;
  while (!options.signal.aborted) {
    try {
      for await (const event of streamEvents(transport, { ...options, timeoutMs: openMs, lastEventId })) {
        lastEventId = event.id || lastEventId;
        onEvent(event);
      }
    } catch (error) {
      const { status, code } = isLettaEnvironmentsError(error) ? error : {};
      if (options.signal.aborted || status === 401) return false;
      if (status === 404 || status === 405) return true;
      onFailure(failureText(error), code === "insufficient_scope");
      await pause(refusedMs, options.signal);
    }
  }
  return false;
}
