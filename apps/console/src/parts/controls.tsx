/** Stop and Mode: what a session may do to the conversation that is shown, besides sending messages to it. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { modeMeaning, modes, modeText, runsEveryTool } from "../model/mode.ts";
import { conversationKey, type DeviceConversations, isNameless } from "../state/conversations.ts";
import { Confirm } from "./dialog.tsx";

const nameless = "Name an agent below first.";

/** The choice of a mode. Choosing alone changes nothing: an arrow key would. */
export function Mode({ conversations }: { conversations: DeviceConversations }): JSX.Element {
  const [chosen, setChosen] = useState("");
  const [isAsking, setAsking] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const target = conversations.target.value;
  const isDisabled = isNameless(target) || isBusy;
  const change = async (): Promise<void> => {
    setAsking(false);
    setBusy(true);
    await conversations.setMode(chosen);
    setBusy(false);
    setChosen("");
  };
  return (
    <>
      <label class="check" {...(isNameless(target) && { title: nameless })}>
        Mode
        <select value={chosen} disabled={isDisabled} onChange={(event) => setChosen(event.currentTarget.value)}>
          <option value="">choose …</option>
          {modes.map((mode) => (
            <option key={mode} value={mode} title={modeMeaning[mode]}>
              {modeText(mode)}
            </option>
          ))}
        </select>
      </label>
      {chosen !== "" && (
        <button
          type="button"
          disabled={isDisabled}
          onClick={() => (runsEveryTool(chosen) ? setAsking(true) : void change())}
        >
          {isBusy ? "Changing …" : "Change"}
        </button>
      )}
      {isAsking && (
        <Confirm
          title={`Change the mode to ${modeText(chosen)}?`}
          text={`${conversationKey(target).replace(" ", " · ")}: from then on the device ${modeMeaning[chosen] ?? ""}.`}
          action="Change"
          onConfirm={() => void change()}
          onClose={() => setAsking(false)}
        />
      )}
    </>
  );
}
