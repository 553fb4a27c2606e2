import { useState } from "preact/hooks";

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
