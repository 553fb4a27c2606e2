/** Short labels with a tone, one of them for the mode of a device. The meanings of modes are in `model/`. */
import type { ComponentChildren, JSX } from "preact";
import type { Tone } from "../model/message-state.ts";
import { runsEveryTool, modeMeaning, modeText } from "../model/mode.ts";

/** A short text with a tone. */
export function Badge({
  tone,
  children,
  title,
}: {
  tone: Tone;
  children: ComponentChildren;
  title?: string;
}): JSX.Element {
  return (
    <span class={`badge ${tone}`} {...(title !== undefined && { title })}>
      {children}
    </span>
  );
}

/** The permission mode of a device, in red if it runs every tool without asking. */
export function ModeBadge({ mode }: { mode: string | undefined }): JSX.Element | null {
  if (mode === undefined) return null;
  const text = modeText(mode);
  const meaning = modeMeaning[runsEveryTool(mode) ? "unrestricted" : mode] ?? text;
  return (
    <Badge tone={runsEveryTool(mode) ? "bad" : "calm"} title={meaning}>
      {text}
    </Badge>
  );
}
