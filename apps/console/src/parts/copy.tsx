import type { JSX, RefObject } from "preact";
import { useState } from "preact/hooks";
import { toast } from "../state/toasts.ts";
import { useFocus } from "./focus.ts";

/** A text to copy, such as a command or a key. */
export function Copy({ text, label }: { text: string; label: string }): JSX.Element {
  // In a dialog it takes the place of the form that had the focus.
  const button = useFocus<HTMLButtonElement>();
  return (
    <div class="copy">
      <code tabIndex={0} role="textbox" aria-readonly="true" aria-label={label}>
        {text}
      </code>
      <CopyButton text={text} button={button} />
    </div>
  );
}

/** A block of text with a button that copies it. */
export function CopyBlock({ text, label }: { text: string; label?: string }): JSX.Element {
  return (
    <div class="block">
      <pre tabIndex={0} {...(label !== undefined && { "aria-label": label })}>
        <code>{text}</code>
      </pre>
      <CopyButton text={text} />
    </div>
  );
}

function CopyButton({ text, button }: { text: string; button?: RefObject<HTMLButtonElement | null> }): JSX.Element {
  const [isCopied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      toast("bad", "The browser does not allow to copy. Select the text and copy it yourself.");
    }
  };
  return (
    <button {...(button !== undefined && { ref: button })} type="button" onClick={() => void copy()}>
      {isCopied ? "Copied" : "Copy"}
    </button>
  );
}
