import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { toast } from "../state/toasts.ts";
import { useFocus } from "./focus.ts";

/** A text to copy, such as a command or a key. */
export function Copy({ text, label }: { text: string; label: string }): JSX.Element {
  const [isCopied, setCopied] = useState(false);
  // In a dialog it takes the place of the form that had the focus.
  const button = useFocus<HTMLButtonElement>();
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      toast("bad", "The browser does not allow to copy. Select the text and copy it yourself.");
    }
  };
  return (
    <div class="copy">
      <code tabIndex={0} role="textbox" aria-readonly="true" aria-label={label}>
        {text}
      </code>
      <button ref={button} type="button" onClick={() => void copy()}>
        {isCopied ? "Copied" : "Copy"}
      </button>
    </div>
  );
}
