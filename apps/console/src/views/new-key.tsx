/** The dialog that creates a key. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { now } from "../platform/browser.ts";
import { Dialog } from "../parts/dialog.tsx";
import { Field, Problem, useSubmit } from "../parts/form.tsx";
import { offeredScopes, scopeText } from "../model/key-rights.ts";
import { modes, modeText } from "../model/mode.ts";
import { administer } from "../state/api.ts";

const dayMs = 86_400_000;

type Options = readonly (readonly [value: string, text: string])[];
const modeOptions: Options = [["", "any"], ...modes.slice(0, 2).map((mode) => [mode, modeText(mode)] as const)];
const dayOptions: Options = [
  ["", "never"],
  ["1", "a day"],
  ["30", "30 days"],
  ["90", "90 days"],
  ["365", "a year"],
];

/** A key with its secret, which is shown once. */
export interface CreatedKey {
  readonly key: string;
  readonly name: string;
  readonly scopes: readonly string[];
}

/** The dialog. */
export function NewKey({
  onClose,
  onCreated,
}: {
  onClose: () => void;
  onCreated: (created: CreatedKey) => void;
}): JSX.Element {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<readonly string[]>(["list", "read"]);
  const [devices, setDevices] = useState("");
  const [maxMode, setMaxMode] = useState("");
  const [days, setDays] = useState("");
  const [onSubmit, problem, isBusy] = useSubmit(async () => {
    const names = devices.split(/[\s,]+/).filter((word) => word !== "");
    const { key } = await administer<{ key: string }>("POST", "keys", {
      name,
      scopes,
      ...(names.length > 0 && { connectionNames: names }),
      ...(maxMode !== "" && { maxMode }),
      ...(days !== "" && { expiresAt: now() + Number(days) * dayMs }),
    });
    onCreated({ key, name, scopes });
  });
  return (
    <Dialog title="Create a key" onClose={isBusy ? undefined : onClose}>
      <form onSubmit={onSubmit}>
        <Field
          id="key-name"
          label="Name"
          required
          value={name}
          placeholder="the person or program that uses it"
          onChange={setName}
        />
        <Scopes chosen={scopes} choose={setScopes} />
        <Field
          id="key-devices"
          label="Only devices with these names"
          value={devices}
          placeholder="every device; ci-* matches several"
          onChange={setDevices}
        />
        <div class="pair">
          <Choice label="Most permissive mode" value={maxMode} choose={setMaxMode} options={modeOptions} />
          <Choice label="Ends after" value={days} choose={setDays} options={dayOptions} />
        </div>
        <Problem text={problem} />
        <div class="actions">
          <button type="button" disabled={isBusy} onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={isBusy}>
            Create
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function Scopes({
  chosen,
  choose,
}: {
  chosen: readonly string[];
  choose: (scopes: readonly string[]) => void;
}): JSX.Element {
  return (
    <fieldset>
      <legend>It may</legend>
      {offeredScopes.map((scope) => (
        <label key={scope} class="check" title={scope}>
          <input
            type="checkbox"
            checked={chosen.includes(scope)}
            onChange={({ currentTarget: { checked } }) =>
              choose(checked ? [...chosen, scope] : chosen.filter((other) => other !== scope))
            }
          />
          {scopeText[scope]}
        </label>
      ))}
    </fieldset>
  );
}

function Choice({
  label,
  value,
  choose,
  options,
}: {
  label: string;
  value: string;
  choose: (value: string) => void;
  options: Options;
}): JSX.Element {
  return (
    <label>
      {label}
      <select value={value} onChange={(event) => choose(event.currentTarget.value)}>
        {options.map(([option, text]) => (
          <option key={option} value={option}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
