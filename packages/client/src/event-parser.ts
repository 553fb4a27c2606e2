/**
 * Parses a stream of server-sent events (WHATWG HTML, section 9.2.6). Fields that are not known and comments are ignored. A piece of text
 * may end anywhere, also between the characters of a line end.
 */

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

/** Creates an {@link EventParser}. */
export function createEventParser(): EventParser {
  let rest = "";
  let id = "";
  let type = "";
  let data = "";
  const parser: EventParser = {
    lastEventId: "",
    retryMs: undefined,
    pendingLength: 0,
    push(text) {
      const events: ParsedEvent[] = [];
      // A carriage return at the end may be the first half of a line end.
      const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const [, name, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
        if (line === "") {
          parser.lastEventId = id;
          if (data) events.push({ id, type: type || "message", data: data.slice(0, -1) });
          type = data = "";
        } else if (name === "data") data += `${value}\n`;
        else if (name === "event") type = value;
        else if (name === "id" && !value.includes("\0")) id = value;
        else if (name === "retry" && /^\d{1,9}$/.test(value)) parser.retryMs = Number(value);
      }
      parser.pendingLength = rest.length + data.length;
      return events;
    },
  };
  return parser;
}
