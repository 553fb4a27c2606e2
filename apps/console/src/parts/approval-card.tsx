/**
 * A request for permission with its two decisions. The keys A and D decide on the card that has the focus. One press decides on one request: a
 * card whose buttons have just appeared or moved takes no click yet, because the press may have been meant for what was there before. Nor do the
 * letters decide just after the card gets the focus: they may belong to a text. A click names its button, even from the keyboard.
 */
import type { Approval } from "@letta-environments/client";
import { escapeSpaces, printable } from "@letta-environments/command-line/printable";
import type { JSX, RefObject } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { agoText, durationText } from "../model/time.ts";
import { every, monotonic } from "../platform/browser.ts";
import { isSteady, settleMs } from "../platform/steady.ts";
import { questionOf } from "../state/approvals.ts";
import { decide, deciding } from "../state/decisions.ts";
import { time } from "../state/clock.ts";
import { shownNameOf } from "../state/device-list.ts";
import { rows } from "../state/environments.ts";
import { href } from "../state/route.ts";
import { mayDecide } from "../state/session.ts";
import { ModeBadge } from "./badge.tsx";
import { Confirm } from "./dialog.tsx";
import { useFocus } from "./focus.ts";
import { ToolInput } from "./tool-input.tsx";

/** Time between two looks at the buttons of a card. */
const lookEveryMs = 100;

const cutText = "The input is longer than shown. The device runs all of it.";

/** The card of a request. Its key must be `questionOf` the request. */
export function ApprovalCard({
  approval,
  showsDevice = true,
}: {
  approval: Approval;
  showsDevice?: boolean;
}): JSX.Element {
  const [isDenying, setDenying] = useState(false);
  const card = useRef<HTMLElement>(null);
  const isPassingFocus = useRef(false);
  const { hasSettled, isMeant, isLetterMeant, onOtherKey, ...listeners } = usePresses(card);
  const isDisabled = deciding.value.has(questionOf(approval)) || approval.connectionId === null || !mayDecide();
  const isCut = approval.inputTruncated;
  /** People who decide with the pointer do not watch the focus, so text that they type next must not decide anything. */
  const focusAfter = (isByKey: boolean): void => {
    // The card may have the focus already.
    onOtherKey();
    if (isByKey) card.current?.focus();
    else focusMain();
  };
  const choose = async (approve: boolean, isByKey: boolean, reason = "", suggestion?: string): Promise<void> => {
    // Before the response: the card may be gone when the response arrives.
    isPassingFocus.current = isByKey;
    // The button that was pressed is disabled now.
    focusAfter(isByKey);
    const isOver = await decide(approval, approve, reason, suggestion);
    isPassingFocus.current = isByKey && isOver;
    // Text may have been typed until it failed.
    onOtherKey();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.target !== card.current || event.ctrlKey || event.metaKey || event.altKey || isDisabled) return;
    const key = event.key.toLowerCase();
    if (key !== "a" && key !== "d") return onOtherKey();
    event.preventDefault();
    // A key that is held down decides only on one card, not on the next ones that get the focus.
    if (event.repeat || !isLetterMeant()) return;
    if (key === "d") setDenying(true);
    else if (!isCut) void choose(true, true);
  };
  useLayoutEffect(() => () => passFocus(card.current, isPassingFocus.current), []);
  return (
    <article
      ref={card}
      class="card approval"
      tabIndex={0}
      aria-label={`${printable(approval.tool)} asks for permission`}
      onKeyDown={onKeyDown}
      {...listeners}
    >
      <CardHeader approval={approval} showsDevice={showsDevice} />
      {approval.reason !== null && <p>{printable(approval.reason)}</p>}
      {isCut && <p class="notice">{cutText}</p>}
      <ToolInput input={approval.input} isCut={isCut} />
      {isDenying ? (
        <DenyForm
          isDisabled={isDisabled}
          hasSettled={hasSettled}
          onDeny={(reason, isByKey) => {
            if (isByKey || isMeant(isByKey)) void choose(false, isByKey, reason);
          }}
          onCancel={(isByKey) => {
            setDenying(false);
            focusAfter(isByKey);
          }}
        />
      ) : (
        <Actions
          approval={approval}
          isDisabled={isDisabled}
          hasSettled={hasSettled}
          isMeant={isMeant}
          onAllow={(isByKey, suggestion) => void choose(true, isByKey, "", suggestion)}
          onDeny={() => setDenying(true)}
        />
      )}
      {showsDevice && <Place connectionId={approval.connectionId} />}
    </article>
  );
}

/** Whether a click comes from the keyboard. */
function isKey(event: MouseEvent): boolean {
  return event.detail === 0;
}

/** Decides which presses are meant for a card. */
interface Presses {
  /** Whether the card has settled, for its style. */
  readonly hasSettled: boolean;
  /** Whether a click counts. Assistive technology moves the focus and clicks immediately. */
  isMeant(isByKey: boolean): boolean;
  /** Whether the letters A and D count. */
  isLetterMeant(): boolean;
  /** The card itself has the focus, also after its own field: the next letters may belong to the text of a reason. */
  readonly onFocus: () => void;
  readonly onPointerDown: () => void;
  /** A key that decides nothing: somebody may be typing a text. */
  readonly onOtherKey: () => void;
}

function usePresses(card: RefObject<HTMLElement | null>): Presses {
  const [hasSettled, setSettled] = useState(false);
  const lettersSince = useRef(0);
  /** Whether the button of the pointer went down too early, however late it goes up. */
  const isEarly = useRef(false);
  const restart = (): void => void (lettersSince.current = monotonic());
  const look = (): boolean => {
    const isSettled = card.current !== null && isSteady(card.current);
    setSettled(isSettled);
    return isSettled;
  };
  useLayoutEffect(() => every(lookEveryMs, look), []);
  // The time of what this page draws begins immediately.
  useLayoutEffect(() => void look());
  return {
    hasSettled,
    isMeant: (isByKey) => look() && (isByKey || !isEarly.current),
    isLetterMeant: () => monotonic() - lettersSince.current >= settleMs,
    onFocus: restart,
    onPointerDown: () => void (isEarly.current = !look()),
    onOtherKey: restart,
  };
}

/**
 * Moves the focus when a card disappears: to the next card after a decision by key on this page. Otherwise somebody else has decided, or the
 * reader uses the pointer, and a key that was meant for something else must not decide on the next card.
 */
function passFocus(card: HTMLElement | null, isPassing: boolean): void {
  if (!card?.contains(document.activeElement)) return;
  const { nextElementSibling: next, previousElementSibling: previous } = card;
  const other = [next, previous].find((element) => element?.classList.contains("approval"));
  if (isPassing && other instanceof HTMLElement) other.focus();
  else focusMain();
}

function focusMain(): void {
  document.getElementById("main")?.focus({ preventScroll: true });
}

/** The buttons of a card. One press does not allow an input that is not shown completely. */
function Actions({
  approval,
  isDisabled,
  hasSettled,
  isMeant,
  onAllow,
  onDeny,
}: Pick<Presses, "hasSettled" | "isMeant"> & {
  approval: Approval;
  isDisabled: boolean;
  onAllow: (isByKey: boolean, suggestion?: string) => void;
  onDeny: () => void;
}): JSX.Element {
  const [asked, setAsked] = useState<{ readonly suggestion: string | undefined } | null>(null);
  const press = (event: MouseEvent, suggestion?: string): void => {
    if (isDisabled || !isMeant(isKey(event))) return;
    if (approval.inputTruncated) setAsked({ suggestion });
    else onAllow(isKey(event), suggestion);
  };
  // Not `disabled`, which would remove the focus from a focused button.
  const state = { type: "button", disabled: isDisabled, "aria-disabled": !hasSettled } as const;
  if (!mayDecide()) return <p class="hint">The key of this session lacks the scope “send”, so it cannot decide.</p>;
  return (
    <div class="actions">
      <button {...state} class="primary" onClick={press}>
        {approval.inputTruncated ? (
          "Allow …"
        ) : (
          <>
            Allow <kbd aria-hidden="true">A</kbd>
          </>
        )}
      </button>
      <button type="button" disabled={isDisabled} onClick={onDeny}>
        Deny … <kbd aria-hidden="true">D</kbd>
      </button>
      {approval.suggestions.map(({ id, text }) => (
        <button {...state} key={id} class="suggestion" onClick={(event) => press(event, id)}>
          Allow, and from now on: “{printable(text)}”
        </button>
      ))}
      {asked !== null && (
        <Confirm
          title={`Allow ${printable(approval.tool)}?`}
          text={cutText}
          action="Allow"
          onConfirm={(event) => {
            if (isDisabled || !isMeant(isKey(event))) return;
            setAsked(null);
            // After the dialog has returned the focus.
            queueMicrotask(() => onAllow(isKey(event), asked.suggestion));
          }}
          onClose={() => setAsked(null)}
        />
      )}
    </div>
  );
}

function CardHeader({ approval, showsDevice }: { approval: Approval; showsDevice: boolean }): JSX.Element {
  return (
    <header>
      <h2>{printable(approval.tool)}</h2>
      {showsDevice && <a href={href("device", { id: approval.deviceId })}>{shownNameOf(approval.deviceId)}</a>}
      <span class="hint">{agoText(approval.requestedAt, time.value)}</span>
      {approval.expiresAt !== null && (
        <span class="badge warn">denied in {durationText(approval.expiresAt - time.value)}</span>
      )}
      {approval.connectionId === null && <span class="badge calm">device offline</span>}
    </header>
  );
}

/**
 * The directory and the mode that the device reports, which the request does not contain. A device can have several connections. Shown last,
 * because its length can change at any moment, and nothing that is read or pressed must move then.
 */
function Place({ connectionId }: { connectionId: string | null }): JSX.Element | null {
  const row = [...rows.value.values()].find((each) => each.value.connectionId === connectionId)?.value;
  const { workingDirectory = "", gitBranch } = row?.metadata ?? {};
  if (connectionId === null || workingDirectory === "") return null;
  return (
    <p class="hint" tabIndex={0}>
      The device reports: <code>{printable(escapeSpaces(workingDirectory))}</code>{" "}
      {gitBranch !== undefined && <code>⎇&nbsp;{printable(escapeSpaces(gitBranch))}</code>}{" "}
      <ModeBadge mode={row?.currentMode} />
    </p>
  );
}

function DenyForm({
  isDisabled,
  hasSettled,
  onDeny,
  onCancel,
}: Pick<Presses, "hasSettled"> & {
  isDisabled: boolean;
  onDeny: (reason: string, isByKey: boolean) => void;
  onCancel: (isByKey: boolean) => void;
}): JSX.Element {
  const [reason, setReason] = useState("");
  const id = useId();
  const field = useFocus<HTMLInputElement>();
  // Enter in the field clicks the button too, without a pointer.
  const isByKey = useRef(true);
  return (
    <form
      class="deny"
      onSubmit={(event) => {
        event.preventDefault();
        onDeny(reason.trim(), isByKey.current);
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape" && !event.isComposing) onCancel(true);
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
      <button
        type="submit"
        class="danger"
        disabled={isDisabled}
        aria-disabled={!hasSettled}
        onClick={(event) => void (isByKey.current = isKey(event))}
      >
        Deny
      </button>
      <button type="button" onClick={(event) => onCancel(isKey(event))}>
        Cancel
      </button>
    </form>
  );
}
