/** The text of server-sent events (WHATWG HTML, section 9.2). Data is JSON without line breaks. */

const encoder = new TextEncoder();

/** How long a client waits before it connects again, in milliseconds. */
const reconnectMs = 1_000;

/** The start of a stream: it gives the client an id to continue from before the first event. */
export function openingText(id: string): Uint8Array {
  return encoder.encode(`retry: ${reconnectMs}\nid: ${id}\n\n`);
}

/** An event. */
export function eventText(id: string, type: string, data: string): Uint8Array {
  return encoder.encode(`id: ${id}\nevent: ${type}\ndata: ${data}\n\n`);
}

/** A comment that keeps the connection open. An id moves the client past events that it must not see. */
export function heartbeatText(id: string | null): Uint8Array {
  return encoder.encode(id === null ? ":\n\n" : `:\nid: ${id}\n\n`);
}
