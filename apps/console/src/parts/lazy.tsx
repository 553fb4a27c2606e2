import type { ComponentType, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

/** A view that is loaded when it is first shown. */
export function lazy<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  let loaded: ComponentType<Props> | null = null;
  return function Lazy(props: Props): JSX.Element {
    const [state, setState] = useState<"loading" | "failed" | "ready">(loaded === null ? "loading" : "ready");
    useEffect(() => {
      if (state !== "loading") return;
      load().then(
        (component) => {
          loaded = component;
          setState("ready");
        },
        () => setState("failed"),
      );
    }, [state]);
    const View = loaded;
    if (View !== null && state === "ready") return <View {...props} />;
    if (state === "loading")
      return (
        <p class="note" role="status">
          Loading …
        </p>
      );
    // If an update has removed the file, or the browser remembers the failure, only a reload helps.
    return (
      <div class="empty" role="alert">
        <h2>This part of the console could not be loaded</h2>
        <p>The gateway may have been updated or does not respond.</p>
        <div class="actions">
          <button type="button" class="primary" onClick={() => setState("loading")}>
            Try again
          </button>
          <button type="button" onClick={() => location.reload()}>
            Reload the page
          </button>
        </div>
      </div>
    );
  };
}
