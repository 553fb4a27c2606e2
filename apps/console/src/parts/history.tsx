/** The messages of a device with outcome and duration, the latest first. */
import { printableLines } from "@letta-environments/command-line/printable";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { describeState } from "../model/message-state.ts";
import { agoText, dateText } from "../model/time.ts";
import { time } from "../state/clock.ts";
import type { DeviceConversations } from "../state/conversations.ts";
import { mergeHistory } from "../state/merged-history.ts";
import { may } from "../state/session.ts";
import { Badge } from "./badge.tsx";
import { Problem } from "./form.tsx";

/** The list. */
export function History({ conversations }: { conversations: DeviceConversations }): JSX.Element {
  const { history } = conversations;
  const { messages, cursor, failure, isReading } = history.state.value;
  const gaps = conversations.gaps.value;
  useEffect(() => void history.read("latest"), [history, gaps]);
  const items = mergeHistory(messages, cursor !== null, conversations.all.value.values());
  return (
    <section class="card">
      <h2>Messages</h2>
      {!may("read") && (
        <p class="hint">The key of this session lacks the scope “read”, so it does not list messages.</p>
      )}
      {items.length === 0 && may("read") && (isReading || failure === null) && (
        <p class="hint">{isReading ? "Loading …" : "No messages."}</p>
      )}
      <ol class="history">
        {items.map(({ key, text, status }) => {
          const state = describeState(status);
          const { sentAt, error, clientMessageId = "", text: reply = "" } = status ?? {};
          const shown = printableLines(text || (error ?? reply) || "(no text kept)");
          return (
            <li key={key} title={clientMessageId}>
              <span class="hint" title={sentAt === undefined ? "" : dateText(sentAt)}>
                {sentAt === undefined ? "" : agoText(sentAt, time.value)}
              </span>
              <Badge tone={state.tone} {...(error !== undefined && { title: error })}>
                {state.text}
              </Badge>
              <button
                type="button"
                class="quiet what"
                title={`${shown}\n\nShow its conversation`}
                disabled={status === null}
                onClick={() => {
                  if (status !== null)
                    conversations.select({ agentId: status.agentId ?? "", conversationId: status.conversationId });
                }}
              >
                {shown}
              </button>
            </li>
          );
        })}
      </ol>
      {failure === "missing" && (
        <p class="hint">This server does not list messages: only those that the page has seen.</p>
      )}
      <Problem text={failure === "missing" ? null : failure} />
      {(cursor !== null || (failure !== null && failure !== "missing")) && (
        <div class="actions">
          <button
            type="button"
            disabled={isReading}
            onClick={() => void history.read(cursor === null ? "latest" : "older")}
          >
            {cursor === null ? "Try again" : "Older messages"}
          </button>
        </div>
      )}
    </section>
  );
}
