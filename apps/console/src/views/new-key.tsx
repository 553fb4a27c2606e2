/** The dialog that creates a key. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { now } from "../adapters/browser.ts";
import { Dialog } from "../parts/dialog.tsx";
import { offeredScopes, scopeText } from "../model/key-rights.ts";
import { modes, modeText } from "../model/mode.ts";
import { administer, failureText } from "../state/api.ts";

const dayMs = 86_400_000;

/** The dialog. `onCreated` receives the key, which is shown once. */
export function NewKey({ onClose, onCreated }: { onClose: () => void; onCreated: (key: string) => void }): JSX.Element {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<readonly string[]>(["list", "read"]);
  const [devices, setDevices] = useState("");
  const [maxMode, setMaxMode] = useState("");
  const [days, setDays] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const create = async (): Promise<void> => {
    const names = devices.split(/[\s,]+/).filter((word) => word !== "");
    try {
      const { key } = await administer<{ key: string }>("POST", "keys", {
        name,
        scopes,
        ...(names.length > 0 && { connectionNames: names }),
        ...(maxMode !== "" && { maxMode }),
        ...(days !== "" && { expiresAt: now() + Number(days) * dayMs }),
      });
      onCreated(key);
    } catch (error) {
      setProblem(failureText(error));
    }
  };
  return (
    <Dialog title="Create a key" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void create();
        }}
      >
        <label for="key-name">Name</label>
        <input id="key-name" required value={name} placeholder="the person or program that uses it" onInput={(event) => setName(event.currentTarget.value)} />
        <fieldset>
          <legend>It may</legend>
          {offeredScopes.map((scope) => (
            <label key={scope} class="check">
              <input
                type="checkbox"
                checked={scopes.includes(scope)}
                onChange={(event) =>
                  setScopes(event.currentTarget.checked ? [...scopes, scope] : scopes.filter((other) => other !== scope))
                }
              />
              {scopeText[scope]}
            </label>
          ))}
        </fieldset>
        <label for="key-devices">Only devices with these names</label>
        <input id="key-devices" value={devices} placeholder="every device; ci-* matches several" onInput={(event) => setDevices(event.currentTarget.value)} />
        <div class="pair">
          <label>
            Freest mode
            <select value={maxMode} onChange={(event) => setMaxMode(event.currentTarget.value)}>
              <option value="">any</option>
              {modes.slice(0, 2).map((mode) => (
                <option key={mode} value={mode}>
                  {modeText(mode)}
                </option>
              ))}
            </select>
          </label>
          <label>
            Ends after
            <select value={days} onChange={(event) => setDays(event.currentTarget.value)}>
              <option value="">never</option>
              <option value="1">a day</option>
              <option value="30">30 days</option>
              <option value="90">90 days</option>
              <option value="365">a year</option>
            </select>
          </label>
        </div>
        {problem !== null && (
          <p class="problem" role="alert">
            {problem}
          </p>
        )}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary">
            Create
          </button>
        </div>
      </form>
    </Dialog>
  );
}
