/** Requests for permission of all devices, the oldest first. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { allowNotifications } from "../platform/alerts.ts";
import { ApprovalCard } from "../parts/approval-card.tsx";
import { alerts, approvals, approvalsFailure, questionOf, setAlert } from "../state/approvals.ts";
import { may, mayApprove } from "../state/session.ts";
import { toast } from "../state/toasts.ts";

/** The view. */
export function Approvals(): JSX.Element {
  const all = approvals.value;
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = { j: 1, k: -1 }[event.key.toLowerCase()];
      if (step === undefined || event.target instanceof HTMLInputElement || list.current === null) return;
      const cards = [...list.current.querySelectorAll<HTMLElement>(".approval")];
      // A button of a card may have the focus.
      const present = cards.findIndex((card) => card.contains(document.activeElement));
      cards.at(Math.min(cards.length - 1, Math.max(0, present + step)))?.focus();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  const setNotification = async (isOn: boolean): Promise<void> => {
    if (isOn && !(await allowNotifications())) {
      toast("bad", "The browser does not allow notifications for this page. Its settings can change that.");
      return setAlert("notification", false);
    }
    setAlert("notification", isOn);
  };
  return (
    <>
      <div class="title">
        <h1>Approvals</h1>
        <p class="hint" role="status">
          {all.length === 0 ? "Nothing waits for a decision" : `${all.length} waiting`}
        </p>
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
      </div>
      {!mayApprove() && <Absent />}
      {approvalsFailure.value !== null && (
        <div class="notice bad" role="alert">
          The requests could not be read: {approvalsFailure.value}
        </div>
      )}
      {mayApprove() && all.length === 0 && approvalsFailure.value === null && (
        <div class="empty">
          <h2>Nothing waits for you</h2>
          <p>When a device in mode “standard” or “accept edits” wants to use a tool, its request appears here.</p>
        </div>
      )}
      <div ref={list} class="cards">
        {all.map((approval) => (
          <ApprovalCard key={questionOf(approval)} approval={approval} />
        ))}
      </div>
      {all.length > 0 && (
        <p class="hint keys">
          <kbd>J</kbd> next, <kbd>K</kbd> previous
          {may("send") && (
            <>
              , <kbd>A</kbd> allow, <kbd>D</kbd> deny with a reason
            </>
          )}
        </p>
      )}
    </>
  );
}

/** Shows a session that it may not decide, and why. */
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
