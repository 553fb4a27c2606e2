/**
 * Parses a stream of server-sent events (WHATWG HTML, section 9.2.6). Ignores comments, unknown fields and ids that `fetch` could not
 * send in a header. A piece of text may end anywhere, even between the characters of a line end.
 */

/** Ids that `fetch` can send in a header. */
export const eventIdPattern: RegExp = /^[ -~]*$/;

/** An event with its data as text. */
export interface ParsedEvent {
  readonly id: string;
  readonly type: string;
  readonly data: string;
}

/** A parser of one stream. */
export interface EventParser {
  /** Takes the next piece of text, and returns the events that it completes. */
  push(text: string): ParsedEvent[];
  /** The id from which a new stream continues; empty if there was none. */
  lastEventId: string;
  /** How long to wait before the next stream, if the server asked for it, in milliseconds. */
  retryMs: number | undefined;
  /** Characters that wait for the end of their event. */
  pendingLength: number;
}

export function createEventParser(): EventParser {
  let rest = "";
  /** Whether the last piece ended with a carriage return, so that a line feed at the start of the next one belongs to it. */
  let isAfterReturn = false;
  let id = "";
  let type = "";
  let data = "";
  const parser: EventParser = {
    lastEventId: "",
    retryMs: undefined,
    pendingLength: 0,
    push(text) {
      const events: ParsedEvent[] = [];
      // Only the new text is searched: a large event comes in many pieces.
      const lines = (isAfterReturn ? text.replace(/^\n/, "") : text).split(/\r\n?|\n/);
      if (text) isAfterReturn = text.endsWith("\r");
      rest += lines.shift() ?? "";
      for (const next of lines) {
        const line = rest;
        rest = next;
        const [, name, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
        if (line === "") {
          parser.lastEventId = id;
          if (data) events.push({ id, type: type || "message", data: data.slice(0, -1) });
          type = data = "";
        } else if (name === "data") data += `${value}\n`;
        else if (name === "event") type = value;
        else if (name === "id" && eventIdPattern.test(value)) id = value;
        else if (name === "retry" && /^\d{1,9}$/.test(value)) parser.retryMs = Number(value);
      }
      parser.pendingLength = rest.length + data.length;
      return events;
    },
  };
  return parser;
}
