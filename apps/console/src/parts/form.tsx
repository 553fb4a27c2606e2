/** Parts of forms: a field with its label, the reason of a failure, and the submission. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";

/** A text field with its label. */
export function Field({
  label,
  onChange,
  ...input
}: {
  id: string;
  label: string;
  value: string;
  placeholder: string;
  required?: boolean;
  onChange: (value: string) => void;
}): JSX.Element {
  return (
    <>
      <label for={input.id}>{label}</label>
      <input {...input} onInput={(event) => onChange(event.currentTarget.value)} />
    </>
  );
}

/** Why something failed; nothing while `text` is `null`. */
export function Problem({ text }: { text: string | null }): JSX.Element | null {
  if (text === null) return null;
  return (
    <p class="problem" role="alert">
      {text}
    </p>
  );
}

/**
 * Returns what a form calls when it is submitted, and whether that still runs. It does not run twice at a time, such as for a double click: the
 * second secret would take the place of the first, whose key stays active and is known to nobody.
 */
export function useSubmit(run: () => Promise<void>): readonly [onSubmit: (event: Event) => void, isBusy: boolean] {
  const [isBusy, setBusy] = useState(false);
  const onSubmit = (event: Event): void => {
    event.preventDefault();
    if (isBusy) return;
    setBusy(true);
    void run().finally(() => setBusy(false));
  };
  return [onSubmit, isBusy];
}
