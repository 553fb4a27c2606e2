/** Parts of forms: a field with its label, the reason of a failure, and the submission. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { failureText } from "../state/api.ts";

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
 * Returns the submit handler of a form, why it has failed, and whether it is running. It does not run twice at the same time, such as for a double
 * click: the second secret would replace the first one, whose key stays active although nobody knows it.
 */
export function useSubmit(
  run: () => Promise<void>,
  describe: (error: unknown) => string = failureText,
): readonly [onSubmit: (event: Event) => void, problem: string | null, isBusy: boolean] {
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const onSubmit = (event: Event): void => {
    event.preventDefault();
    if (isBusy) return;
    setBusy(true);
    setProblem(null);
    void run()
      .catch((error: unknown) => setProblem(describe(error)))
      .finally(() => setBusy(false));
  };
  return [onSubmit, problem, isBusy];
}
