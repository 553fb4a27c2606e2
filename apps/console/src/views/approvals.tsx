/** Requests for permission of all devices, the oldest first. */
import type { Approval } from "@letta-environments/client";
import type { JSX, RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { allowNotifications } from "../platform/alerts.ts";
import { ApprovalCard } from "../parts/approval-card.tsx";
import { alerts, approvalCount, approvals, approvalsFailure, questionOf, setAlert } from "../state/approvals.ts";
import { may, mayDecide, maySeeApprovals } from "../state/session.ts";
import { toast } from "../state/toasts.ts";

/** The view. */
export function Approvals(): JSX.Element {
  return maySeeApprovals() ? (
    <Requests />
  ) : (
    <>
      <div class="title">
        <h1>Approvals</h1>
      </div>
      <Absent />
    </>
  );
}

/** Shows requests that can be decided first, because an offline device may never reconnect. */
function Requests(): JSX.Element {
  const all = approvals.value.toSorted((left, right) => Number(isOffline(left)) - Number(isOffline(right)));
  const count = approvalCount.value;
  const failure = approvalsFailure.value;
  const list = useRef<HTMLDivElement>(null);
  useStepKeys(list);
  return (
    <>
      <div class="title">
        <h1>Approvals</h1>
        <p class="hint" role="status">
          {failure === undefined && "Loading …"}
          {failure === null && (count === 0 ? "Nothing waits for a decision" : `${count} waiting`)}
        </p>
        <Alerts />
      </div>
      {typeof failure === "string" && (
        <div class="notice bad" role="alert">
          The requests could not be read: {failure} The console retries automatically.
        </div>
      )}
      {failure === null && count === 0 && (
        <div class="empty">
          <h2>Nothing waits for you</h2>
          <p>When a device in mode “standard” or “accept edits” wants to use a tool, its request appears here.</p>
        </div>
      )}
      <div ref={list} class="cards">
        {all.flatMap((approval, index) => [
          index === count && (
            <p key="offline" class="hint">
              On devices that are offline: {all.length - count}
            </p>
          ),
          <ApprovalCard key={questionOf(approval)} approval={approval} />,
        ])}
      </div>
      {all.length > 0 && (
        <p class="hint keys">
          <kbd>J</kbd> next, <kbd>K</kbd> previous
          {mayDecide() && (
            <>
              , <kbd>A</kbd> allow, <kbd>D</kbd> deny with a reason
            </>
          )}
        </p>
      )}
    </>
  );
}

function isOffline({ connectionId }: Approval): boolean {
  return connectionId === null;
}

/** Moves the focus among the cards with the keys J and K, unless it is outside the content, such as in the menu. */
function useStepKeys(list: RefObject<HTMLDivElement | null>): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = { j: 1, k: -1 }[event.key.toLowerCase()];
      if (step === undefined || event.target instanceof HTMLInputElement || list.current === null) return;
      const { activeElement, body } = document;
      if (activeElement !== body && activeElement?.closest("main") === null) return;
      const cards = [...list.current.querySelectorAll<HTMLElement>(".approval")];
      // A button of a card may have the focus.
      const present = cards.findIndex((card) => card.contains(activeElement));
      cards.at(Math.min(cards.length - 1, Math.max(0, present + step)))?.focus();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}

/** The choice of alerts. */
function Alerts(): JSX.Element {
  const setNotification = async (isOn: boolean): Promise<void> => {
    if (isOn && !(await allowNotifications())) {
      toast("bad", "The browser does not allow notifications for this page. Its settings can change that.");
      return setAlert("notification", false);
    }
    setAlert("notification", isOn);
  };
  return (
    <>
      <label class="check">
        <input
          type="checkbox"
          checked={alerts.value.sound}
          onChange={(event) => setAlert("sound", event.currentTarget.checked)}
        />
        Sound
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={alerts.value.notification}
          onChange={(event) => void setNotification(event.currentTarget.checked)}
        />
        Notification
      </label>
    </>
  );
}

/** Says that the session may not decide, and why. */
function Absent(): JSX.Element {
  return may("approve") ? (
    <div class="empty">
      <h2>No requests here</h2>
      <p>This gateway has no events, so it does not know which devices wait for a decision.</p>
    </div>
  ) : (
    <div class="empty">
      <h2>This key does not decide</h2>
      <p>Its scopes lack “approve”. Sign in with a key that has it.</p>
    </div>
  );
}
