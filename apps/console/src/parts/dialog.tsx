/** Modal dialogs: one for any content, and one that asks before something is done. Their texts come from the views. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useLayoutEffect, useRef } from "preact/hooks";
import { holdPage } from "../platform/browser.ts";

/**
 * A modal dialog. Its first field, or the button that copies or cancels, has the focus. Escape closes it, and the focus returns to where it was. A
 * click outside does not close it: it would lose a secret that is shown once, even when a selection with the mouse ends there.
 *
 * @param onClose absent: only a button of the content closes it, because the secret would be lost. "Back" waits for that
 */
export function Dialog({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose?: (() => void) | undefined;
  children: ComponentChildren;
}): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    // The close button comes first, and would have the focus.
    dialog.current?.querySelector<HTMLElement>("input, .copy button, .actions button")?.focus();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  const isHeld = onClose === undefined;
  useLayoutEffect(() => (isHeld ? holdPage() : undefined), [isHeld]);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}
      // Browsers do not let a page prevent the second Escape.
      onClose={() => (onClose === undefined ? dialog.current?.showModal() : onClose())}
    >
      <div class="dialog">
        <header>
          <h2 id={titleId}>{title}</h2>
          {onClose !== undefined && (
            <button type="button" class="quiet" aria-label="Close" onClick={onClose}>
              ✕
            </button>
          )}
        </header>
        {children}
      </div>
    </dialog>
  );
}

/** Asks before an action that cannot be undone, or that lets others do more. */
export function Confirm({
  title,
  text,
  action,
  onConfirm,
  onClose,
}: {
  title: string;
  text: string;
  action: string;
  onConfirm: (event: MouseEvent) => void;
  onClose: () => void;
}): JSX.Element {
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{text}</p>
      <div class="actions">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" class="danger" onClick={onConfirm}>
          {action}
        </button>
      </div>
    </Dialog>
  );
}
