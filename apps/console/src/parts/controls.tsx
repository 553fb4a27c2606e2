/** Stop and Mode: the actions on the shown conversation in addition to sending messages. */
import type { JSX } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";
import { isBusy } from "../model/conversation.ts";
import { modeMeaning, modes, modeText, runsEveryTool } from "../model/mode.ts";
import { conversationKey, type DeviceConversations, isNameless } from "../state/conversations.ts";
import { Confirm } from "./dialog.tsx";

const nameless = "Enter an agent below first.";

/** The button that stops the turn. It is red while the page knows of a turn, but always works, because a turn can also begin on the device itself. */
export function Stop({ conversations }: { conversations: DeviceConversations }): JSX.Element {
  const [isStopping, setStopping] = useState(false);
  const target = conversations.target.value;
  const stop = async (): Promise<void> => {
    setStopping(true);
    await conversations.stop();
    setStopping(false);
  };
  return (
    <button
      type="button"
      class={`stop ${isBusy(conversations.entries.value) ? "danger" : ""}`}
      disabled={isNameless(target) || isStopping}
      {...(isNameless(target) && { title: nameless })}
      onClick={() => void stop()}
    >
      {isStopping ? "Stopping …" : "Stop"}
    </button>
  );
}

/** The choice of a mode. Choosing alone changes nothing, because an arrow key already chooses. */
export function Mode({ conversations }: { conversations: DeviceConversations }): JSX.Element {
  const [chosen, setChosen] = useState("");
  const [isAsking, setAsking] = useState(false);
  const [isChanging, setChanging] = useState(false);
  const target = conversations.target.value;
  const isDisabled = isNameless(target) || isChanging;
  const key = conversationKey(target);
  // A mode that was chosen for one conversation must not go to another, on this device or the next.
  useLayoutEffect(() => {
    setChosen("");
    setAsking(false);
  }, [conversations, key]);
  const change = async (): Promise<void> => {
    setAsking(false);
    setChanging(true);
    await conversations.setMode(chosen);
    setChanging(false);
    setChosen("");
  };
  return (
    <>
      <label class="check" {...(isNameless(target) && { title: nameless })}>
        Mode
        <select
          value={chosen}
          disabled={isDisabled}
          onChange={(event) => {
            conversations.pin();
            setChosen(event.currentTarget.value);
          }}
        >
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
          {isChanging ? "Changing …" : "Change"}
        </button>
      )}
      {isAsking && (
        <Confirm
          title={`Change the mode to ${modeText(chosen)}?`}
          text={`${key.replace(" ", " · ")}: from then on the device ${modeMeaning[chosen] ?? ""}.`}
          action="Change"
          onConfirm={() => void change()}
          onClose={() => setAsking(false)}
        />
      )}
    </>
  );
}
