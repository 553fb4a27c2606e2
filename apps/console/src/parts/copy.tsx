/** Texts to take elsewhere, on one line or as a block, each with a button that copies it. */
import { printableLines } from "@letta-environments/command-line/printable";
import type { JSX, RefObject } from "preact";
import { useState } from "preact/hooks";
import { toast } from "../state/toasts.ts";
import { useFocus } from "./focus.ts";

/** A text to copy, such as a command or a key. */
export function Copy({ text, label }: { text: string; label: string }): JSX.Element {
  // In a dialog it replaces the form that had the focus.
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

/** Lines of a block that are certainly visible without scrolling. */
const maxSeenLines = 12;

/** A block of text with a button that copies it unchanged. Hidden characters in it are shown. */
export function CopyBlock({ text, label }: { text: string; label?: string }): JSX.Element {
  const lines = text.split("\n").length;
  return (
    <div class="block">
      <pre tabIndex={0} {...(label !== undefined && { role: "group", "aria-label": label })}>
        <code>{printableLines(text)}</code>
      </pre>
      <CopyButton text={text} name={lines > maxSeenLines ? `Copy all ${lines} lines` : "Copy"} />
    </div>
  );
}

function CopyButton({
  text,
  name = "Copy",
  button,
}: {
  text: string;
  name?: string;
  button?: RefObject<HTMLButtonElement | null>;
}): JSX.Element {
  const [isCopied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      toast("bad", "The browser does not allow copying. Select the text and copy it yourself.");
    }
  };
  return (
    <button {...(button !== undefined && { ref: button })} type="button" onClick={() => void copy()}>
      {isCopied ? "Copied" : name}
    </button>
  );
}
