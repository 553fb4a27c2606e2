/** The page around the state: an address, storage, and a gateway that a test plays. */
import { vi } from "vitest";

/** A request to the gateway that a test plays. */
export interface PageRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly body: string;
  readonly headers: HeadersInit;
  readonly signal: AbortSignal | null;
}

/** Responds to a request. */
export type Respond = (request: PageRequest) => Response | Promise<Response>;

/** Prepares the globals of a page whose modules were not loaded yet. */
export function stubPage(respond: Respond): void {
  vi.resetModules();
  const replace = (): void => undefined;
  vi.stubGlobal("location", { hash: "", href: "http://127.0.0.1:8787/console/", replace });
  listeners = [];
  vi.stubGlobal("addEventListener", (type: string, run: () => void) => listeners.push([type, run]));
  stubStorage("localStorage");
  stubStorage("sessionStorage");
  respondWith(respond);
}

let listeners: (readonly [type: string, run: () => void])[] = [];

/** The browser reports something to the page, such as `offline`. */
export function report(type: string): void {
  for (const [listened, run] of listeners) if (listened === type) run();
}

/** Replaces the gateway. */
export function respondWith(respond: Respond): void {
  vi.stubGlobal("fetch", async (url: string, init: RequestInit = {}) => {
    const { method = "GET", body, headers = {}, signal = null } = init;
    signal?.throwIfAborted();
    const { pathname, search } = new URL(url);
    return respond({ method, path: pathname + search, body: typeof body === "string" ? body : "", headers, signal });
  });
}

/** The page is loaded again: its modules begin anew, its storage stays. */
export function reloadPage(): void {
  vi.resetModules();
}

function stubStorage(name: string): void {
  const values = new Map<string, string>();
  vi.stubGlobal(name, {
    getItem: (key: string) => values.get(key) ?? null,
    setItem: (key: string, value: string) => void values.set(key, value),
    removeItem: (key: string) => void values.delete(key),
  });
}

/** A JSON response. */
export function json(status: number, body: object): Response {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
}

/** An error response. */
export function problem(status: number, errorCode: string, detail = `${errorCode}.`): Response {
  const type = `urn:letta-environments:problem:${errorCode}`;
  return json(status, { type, title: "Refused", status, errorCode, detail });
}

/** A stream of events to which a test writes. It ends when the request is aborted. */
export interface PageStream {
  readonly response: Response;
  write(event: { readonly type: string; readonly id: string; readonly [member: string]: unknown }): void;
  /** The connection breaks. */
  end(): void;
}

/** Opens a {@link PageStream}. */
export function openStream({ signal }: PageRequest): PageStream {
  const { readable, writable } = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>();
  const writer = writable.getWriter();
  signal?.addEventListener("abort", () => void writer.abort().catch(() => undefined));
  return {
    response: new Response(readable, { headers: { "content-type": "text/event-stream" } }),
    end: () => void writer.close().catch(() => undefined),
    write({ type, id, ...data }) {
      const text = `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
      void writer.write(new TextEncoder().encode(text)).catch(() => undefined);
    },
  };
}

/** The description of a session. */
export function sessionOf(keyId: string, scopes: readonly string[], servesExtensions = true): object {
  const gateway = { version: "1", publicUrl: null, servesDevices: true, isAdministered: true, deviceVersion: "1" };
  const key = { keyId, keyName: keyId, tenant: "default", scopes, maxMode: null, expiresAt: null };
  return { ...key, gateway: { ...gateway, servesExtensions } };
}

/** A row of the list of devices. */
export function rowOf(id: string, members: object = {}): Record<string, unknown> {
  const none = { connectedAt: null, connectionId: null, lastHeartbeat: null, podId: null };
  const row = { id, deviceId: `device-${id}`, connectionName: id, organizationId: "default" };
  return { ...row, firstSeenAt: 1, lastSeenAt: 1, ...none, ...members };
}
