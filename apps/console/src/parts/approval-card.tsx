/** A request for permission with its two decisions. The keys A and D decide on the card that has the focus. */
import type { Approval } from "@letta-environments/client";
import { printable } from "@letta-environments/command-line/printable";
import type { JSX } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { agoText, durationText } from "../model/time.ts";
import { questionOf } from "../state/approvals.ts";
import { decide, deciding } from "../state/decisions.ts";
import { time } from "../state/clock.ts";
import { shownName } from "../state/device-list.ts";
import { findDevice } from "../state/environments.ts";
import { href } from "../state/route.ts";
import { useFocus } from "./focus.ts";
import { ToolInput } from "./tool-input.tsx";

/** The card of a request. */
export function ApprovalCard({
  approval,
  showsDevice = true,
}: {
  approval: Approval;
  showsDevice?: boolean;
}): JSX.Element {
  const [isDenying, setDenying] = useState(false);
  const card = useRef<HTMLElement>(null);
  const isDecidedHere = useRef(false);
  const isBusy = deciding.value.has(questionOf(approval));
  const isDisabled = isBusy || approval.connectionId === null;
  const choose = async (approve: boolean, reason = "", suggestion?: string): Promise<void> => {
    // Before the response: the card may be gone when the response arrives.
    isDecidedHere.current = true;
    // The button that was pressed is disabled now.
    card.current?.focus();
    isDecidedHere.current = await decide(approval, approve, reason, suggestion);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.target !== card.current || event.ctrlKey || event.metaKey || event.altKey || isDisabled) return;
    // A key that is held down decides on one card, and not on those that get the focus after it.
    if (event.repeat) return;
    const key = event.key.toLowerCase();
    if (key === "a") void choose(true);
    else if (key === "d") setDenying(true);
    else return;
    event.preventDefault();
  };
  useLayoutEffect(() => () => passFocus(card.current, isDecidedHere.current), []);
  return (
    <article
      ref={card}
      class="card approval"
      tabIndex={0}
      aria-label={`${printable(approval.tool)} asks for permission`}
      onKeyDown={onKeyDown}
    >
      <CardHeader approval={approval} showsDevice={showsDevice} />
      {approval.reason !== null && <p>{printable(approval.reason)}</p>}
      <ToolInput input={approval.input} />
      {approval.inputTruncated && <p class="hint">Long texts were cut. The device runs the whole input.</p>}
      {isDenying ? (
        <DenyForm
          isDisabled={isDisabled}
          onDeny={(reason) => void choose(false, reason)}
          onCancel={() => {
            setDenying(false);
            card.current?.focus();
          }}
        />
      ) : (
        <div class="actions">
          <button type="button" class="primary" disabled={isDisabled} onClick={() => void choose(true)}>
            Allow <kbd aria-hidden="true">A</kbd>
          </button>
          <button type="button" disabled={isDisabled} onClick={() => setDenying(true)}>
            Deny … <kbd aria-hidden="true">D</kbd>
          </button>
          {approval.suggestions.map(({ id, text }) => (
            <button
              type="button"
              key={id}
              class="suggestion"
              disabled={isDisabled}
              onClick={() => void choose(true, "", id)}
            >
              Allow, and from now on: “{printable(text)}”
            </button>
          ))}
        </div>
      )}
    </article>
  );
}

/**
 * Passes the focus on when a card disappears: to the next card after a decision here. Otherwise somebody else has decided, and a key that was
 * meant for this card must not decide on the next one.
 */
function passFocus(card: HTMLElement | null, isDecidedHere: boolean): void {
  if (!card?.contains(document.activeElement)) return;
  const { nextElementSibling: next, previousElementSibling: previous } = card;
  const other = [next, previous].find((element) => element?.classList.contains("approval"));
  const target = isDecidedHere && other instanceof HTMLElement ? other : document.getElementById("main");
  target?.focus();
}

function CardHeader({ approval, showsDevice }: { approval: Approval; showsDevice: boolean }): JSX.Element {
  const device = findDevice(approval.deviceId);
  return (
    <header>
      <h3>{printable(approval.tool)}</h3>
      {showsDevice && (
        <a href={href("device", { id: approval.deviceId })}>
          {device === null ? approval.deviceId : shownName(device)}
        </a>
      )}
      <span class="hint">{agoText(approval.requestedAt, time.value)}</span>
      {approval.expiresAt !== null && (
        <span class="badge warn">denied in {durationText(approval.expiresAt - time.value)}</span>
      )}
      {approval.connectionId === null && <span class="badge calm">device offline</span>}
    </header>
  );
}

function DenyForm({
  isDisabled,
  onDeny,
  onCancel,
}: {
  isDisabled: boolean;
  onDeny: (reason: string) => void;
  onCancel: () => void;
}): JSX.Element {
  const [reason, setReason] = useState("");
  const id = useId();
  const field = useFocus<HTMLInputElement>();
  return (
    <form
      class="deny"
      onSubmit={(event) => {
        event.preventDefault();
        onDeny(reason.trim());
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") onCancel();
      }}
    >
      <label class="sr" for={id}>
        Reason for the agent
      </label>
      <input
        id={id}
        value={reason}
        placeholder="Why not? The agent reads it (optional)"
        ref={field}
        onInput={(event) => setReason(event.currentTarget.value)}
      />
      <button type="submit" class="danger" disabled={isDisabled}>
        Deny
      </button>
      <button type="button" onClick={onCancel}>
        Cancel
      </button>
    </form>
  );
}
