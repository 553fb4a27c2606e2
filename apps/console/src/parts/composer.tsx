/** The message box, and the agent and conversation to which it sends. */
import type { Environment } from "@letta-environments/client";
import type { JSX } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";
import type { ConversationTarget } from "../model/conversation.ts";
import { isTouched } from "../platform/browser.ts";
import { recallText, rememberText } from "../platform/tab.ts";
import { conversationKey, type DeviceConversations, isNameless } from "../state/conversations.ts";
import { may } from "../state/session.ts";

/** The box. */
export function Composer({
  device,
  conversations,
}: {
  device: Environment;
  conversations: DeviceConversations;
}): JSX.Element {
  const { connectionId, deviceId } = device;
  const [text, setText] = useState(() => recallText("drafts", deviceId));
  const [isBusy, setBusy] = useState(false);
  const [isChoosing, setChoosing] = useState(false);
  const obstacle = obstacleOf(device, conversations.target.value);
  const send = async (): Promise<void> => {
    const message = text.trim();
    if (connectionId !== null && isNameless(conversations.target.value)) document.getElementById("agent")?.focus();
    if (message === "" || connectionId === null || isBusy || obstacle !== null) return;
    setBusy(true);
    // Not when the response arrives: the page may be gone by then, and must not offer to send it again.
    rememberText("drafts", deviceId, "");
    const isSent = await conversations.send(connectionId, message);
    setBusy(false);
    if (isSent) setText("");
    // The view may have been left and opened again, and another text typed there.
    else if (recallText("drafts", deviceId) === "") rememberText("drafts", deviceId, message);
  };
  if (!may("send")) return <p class="hint">The key of this session lacks the scope “send”.</p>;
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <Target conversations={conversations} isOpen={isChoosing} onOpen={() => setChoosing(true)} />
      <label class="sr" for="message">
        Message
      </label>
      <textarea
        id="message"
        rows={3}
        value={text}
        readOnly={isBusy}
        // Not when the fields lose the focus: the button that is being clicked would move away.
        onFocus={() => setChoosing(false)}
        placeholder={connectionId === null ? "The device is offline" : "Message to the agent"}
        onInput={(event) => {
          conversations.pin();
          setText(event.currentTarget.value);
          rememberText("drafts", deviceId, event.currentTarget.value);
        }}
        onKeyDown={(event) => {
          // A keyboard on the screen has no Shift+Enter.
          if (event.key !== "Enter" || event.shiftKey || event.isComposing || isTouched()) return;
          event.preventDefault();
          void send();
        }}
      />
      <div class="actions">
        <span class="hint">{obstacle ?? (isTouched() ? "" : "Enter sends, Shift+Enter begins a new line")}</span>
        <button type="submit" class="primary" disabled={isBusy || obstacle !== null || text.trim() === ""}>
          {isBusy ? "Sending …" : "Send"}
        </button>
      </div>
    </form>
  );
}

function obstacleOf(device: Environment, target: ConversationTarget): string | null {
  if (device.connectionId === null) return "The device is offline. Nothing is queued for it.";
  if (isNameless(target)) return "Enter the agent that should run the message.";
  return null;
}

/** The agent and conversation of the box: a line once an agent is known, and fields otherwise or on demand. */
function Target({
  conversations,
  isOpen,
  onOpen,
}: {
  conversations: DeviceConversations;
  isOpen: boolean;
  onOpen: () => void;
}): JSX.Element {
  const { all, target } = conversations;
  const { agentId, conversationId } = target.value;
  const known = [...all.value.values()];
  return (
    // A focused field does not become a line when its agent becomes known.
    <div class="target" onFocusIn={(event) => event.target instanceof HTMLInputElement && onOpen()}>
      {isOpen || isNameless(target.value) ? (
        <Fields conversations={conversations} known={known} isOnDemand={isOpen} />
      ) : (
        <p class="hint">
          {agentId === "" ? conversationId : `${agentId} · ${conversationId}`}{" "}
          <button type="button" class="link" aria-label="change agent or conversation" onClick={onOpen}>
            change
          </button>
        </p>
      )}
    </div>
  );
}

function Fields({
  conversations,
  known,
  isOnDemand,
}: {
  conversations: DeviceConversations;
  known: readonly ConversationTarget[];
  isOnDemand: boolean;
}): JSX.Element {
  // The button that had the focus is gone.
  useLayoutEffect(() => {
    if (isOnDemand) document.getElementById("agent")?.focus();
  }, []);
  const { agentId, conversationId } = conversations.target.value;
  return (
    <>
      <IdField
        label="Agent"
        value={agentId}
        choose={(id) => conversations.select({ agentId: id, conversationId })}
        more={{ id: "agent", list: "agents", placeholder: "agent-…" }}
      />
      <datalist id="agents">
        {[...new Set(known.map((each) => each.agentId))].map((id) => (
          <option key={id} value={id} />
        ))}
      </datalist>
      <IdField
        label="Conversation"
        value={conversationId}
        choose={(id) => conversations.select({ agentId, conversationId: id || "default" })}
      />
      {known.length > 1 && (
        <label>
          Known
          <select
            value={conversationKey(conversations.target.value)}
            onChange={(event) => {
              const chosen = known.find((each) => conversationKey(each) === event.currentTarget.value);
              if (chosen !== undefined)
                conversations.select({ agentId: chosen.agentId, conversationId: chosen.conversationId });
            }}
          >
            {known.map((each) => (
              <option key={conversationKey(each)} value={conversationKey(each)}>
                {each.agentId} · {each.conversationId}
              </option>
            ))}
          </select>
        </label>
      )}
      {isNameless(conversations.target.value) && (
        <p class="hint">
          The id of an agent of the device. <code>letta agents list</code> prints them there, with{" "}
          <code>--backend local</code> if the device has it.
        </p>
      )}
    </>
  );
}

/** A field for an id. Text that is being typed is not replaced when a report of the device redraws the field. */
function IdField({
  label,
  value,
  choose,
  more = {},
}: {
  label: string;
  value: string;
  choose: (id: string) => void;
  more?: { readonly id?: string; readonly list?: string; readonly placeholder?: string };
}): JSX.Element {
  const [typed, setTyped] = useState<string | null>(null);
  return (
    <label>
      {label}
      <input
        {...more}
        type="text"
        value={typed ?? value}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => setTyped(event.currentTarget.value)}
        onChange={(event) => choose(event.currentTarget.value.trim())}
        onBlur={() => setTyped(null)}
      />
    </label>
  );
}
