/** The entries of a conversation, the latest at the end. It follows new entries unless the reader has scrolled up. */
import { printable } from "@letta-environments/command-line/printable";
import { Component, type JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Entry, isRunning, messageIdOf, type ToolCall } from "../model/conversation.ts";
import { isRecord } from "@letta-environments/schema/guards";
import { describeState } from "../model/message-state.ts";
import { dateText } from "../model/time.ts";
import { isDrawable } from "../model/tool-input.ts";
import { time } from "../state/clock.ts";
import { conversationKey, type DeviceConversations } from "../state/conversations.ts";
import { isRepeatable, openSends, repeat } from "../state/sends.ts";
import { may } from "../state/session.ts";
import { Badge } from "./badge.tsx";
import { CopyBlock } from "./copy.tsx";
import { Markdown } from "./markdown.tsx";
import { ToolInput } from "./tool-input.tsx";

/** Distance to the end within which new entries are followed, in pixels. */
const nearEnd = 80;
/** Only the reader opens a tool call with longer arguments, which take time to draw. */
const maxOpen = 10_000;

/** The conversation that is selected. */
export function Transcript({
  conversations,
  isOnline,
}: {
  conversations: DeviceConversations;
  isOnline: boolean;
}): JSX.Element {
  const entries = conversations.entries.value;
  const log = useRef<HTMLDivElement>(null);
  const isFollowing = useRef(true);
  const [isBehind, setBehind] = useState(false);
  const lineOf = useLines();
  const follow = (): void => {
    if (log.current !== null && isFollowing.current) log.current.scrollTop = log.current.scrollHeight;
  };
  // Another conversation begins at its end.
  useEffect(() => {
    isFollowing.current = true;
    setBehind(false);
  }, [conversationKey(conversations.target.value)]);
  useEffect(() => {
    if (!isFollowing.current) setBehind(true);
    follow();
  }, [entries]);
  // The log is shorter while a request for permission waits below it.
  useEffect(() => {
    const observer = new ResizeObserver(follow);
    if (log.current !== null) observer.observe(log.current);
    return () => observer.disconnect();
  }, []);
  return (
    <div
      ref={log}
      class="log"
      role="log"
      aria-label="Messages and output"
      tabIndex={0}
      onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
        isFollowing.current = scrollHeight - scrollTop - clientHeight < nearEnd;
        if (isFollowing.current) setBehind(false);
      }}
    >
      {entries.length === 0 && <p class="hint">{emptyText(conversations, isOnline)}</p>}
      {entries.map(lineOf)}
      {isRunning(entries) && <p class="line hint working">Working …</p>}
      {isBehind && (
        <button
          type="button"
          class="latest"
          onClick={() => {
            isFollowing.current = true;
            follow();
            // The button disappears.
            log.current?.focus();
          }}
        >
          New output ↓
        </button>
      )}
    </div>
  );
}

/** Returns a function that draws an entry. Its line is the same object while the entry is, so that one more word redraws one line. */
function useLines(): (entry: Entry) => JSX.Element {
  return useMemo(() => {
    const lines = new WeakMap<Entry, JSX.Element>();
    return (entry) => {
      const line = lines.get(entry) ?? <Line key={entry.key} entry={entry} />;
      lines.set(entry, line);
      return line;
    };
  }, []);
}

function emptyText({ failure, history }: DeviceConversations, isOnline: boolean): string {
  if (!may("read") && !may("view"))
    return "The key of this session lacks the scope “read”, so it does not see messages.";
  if (failure.value === undefined || history.state.value.isReading) return "Loading …";
  // Said above.
  if (failure.value !== null) return "";
  return `Nothing was said in this conversation yet.${isOnline && may("send") ? " Send a message to begin." : ""}`;
}

/** A line. One that cannot be drawn says so, and leaves the others as they are. */
class Line extends Component<{ entry: Entry }, { isBroken?: true }> {
  static override getDerivedStateFromError(): object {
    return { isBroken: true };
  }

  override render(): JSX.Element {
    if (this.state.isBroken) return <p class="line hint">This entry cannot be shown.</p>;
    return <Drawn entry={this.props.entry} />;
  }
}

function Drawn({ entry }: { entry: Entry }): JSX.Element {
  switch (entry.kind) {
    case "sent": {
      const state = describeState(entry.status);
      return (
        <div class="line sent">
          <div class="bubble">
            {entry.text === "" ? (
              <span class="hint">A message that was sent before this page was opened, or by another client</span>
            ) : (
              entry.text
            )}
          </div>
          <span class="hint">
            {entry.status?.sentAt !== undefined && dateText(entry.status.sentAt)}{" "}
            <Badge tone={state.tone}>{state.text}</Badge>
          </span>
          {entry.status?.error !== undefined && <p class="problem">{entry.status.error}</p>}
          {entry.status?.state === "unknown" && <Repeat id={messageIdOf(entry)} />}
        </div>
      );
    }
    case "text":
      return (
        <div class="line said">
          <Markdown text={entry.text} />
        </div>
      );
    case "reasoning":
      return (
        <details class="line reasoning">
          <summary>Reasoning</summary>
          <p>{entry.text}</p>
        </details>
      );
    case "tool":
      return <Tool call={entry} />;
    case "error":
      return (
        <div class="line notice bad" role="alert">
          {entry.text}
        </div>
      );
    case "notice":
    case "gap":
      return <p class="line hint">{entry.text}</p>;
  }
}

/** Offers to repeat a message of this tab whose outcome is not known. */
function Repeat({ id }: { id: string }): JSX.Element | null {
  const send = openSends.value.get(id);
  if (send === undefined || !isRepeatable(send, time.value)) return null;
  return (
    <p class="hint">
      The device may have received the message. A repeat asks for its outcome and never runs it twice.{" "}
      <button type="button" disabled={send.isBusy} onClick={() => void repeat(id)}>
        {send.isBusy ? "Repeating …" : "Repeat"}
      </button>
    </p>
  );
}

const toolStates = {
  called: ["calm", "called"],
  running: ["busy", "running"],
  done: ["good", "done"],
  failed: ["bad", "failed"],
  stopped: ["calm", "stopped"],
} as const;

function Tool({ call }: { call: ToolCall }): JSX.Element {
  const [tone, text] = toolStates[call.state];
  const [isOpen, setOpen] = useState(false);
  const input = parse(call.input);
  return (
    <details
      class="line tool"
      open={call.state === "failed" && call.input.length < maxOpen}
      onToggle={(event) => setOpen(event.currentTarget.open)}
    >
      <summary>
        <strong>{printable(call.tool) || "Tool"}</strong> <span class="mono">{printable(summaryOf(input))}</span>{" "}
        <Badge tone={tone}>{text}</Badge>
      </summary>
      {isOpen && (
        <>
          <ToolInput input={input} />
          {call.result !== "" && <CopyBlock text={call.result} label="Result" />}
        </>
      )}
    </details>
  );
}

/** The first value of the arguments, in one line. */
function summaryOf(input: ReturnType<typeof parse>): string {
  const [value] = Object.values(input ?? {});
  return typeof value === "string" ? (value.split("\n", 1)[0] ?? "").slice(0, 120) : "";
}

/** Reads the arguments. Any other text, and one with a value that would take long to draw, is shown as a text. */
function parse(input: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(input);
    if (isRecord(value) && isDrawable(value)) return value;
  } catch {
    if (input === "") return null;
  }
  return { input: isDrawable(input) ? input : JSON.stringify(input) };
}
