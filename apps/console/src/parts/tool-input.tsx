import type { JSX } from "preact";
import { diffText } from "../model/line-diff.ts";
import { describeInput, type InputPart } from "../model/tool-input.ts";

const marks = { added: "+", removed: "−", same: " ", skipped: "…" } as const;
const words = { added: "added: ", removed: "removed: ", same: "", skipped: "" } as const;

/** Longer values have a box of their own. */
const maxShort = 100;

/** The input of a tool for people: commands, paths, and edits as differences. @param isCut whether something of it is missing */
export function ToolInput({
  input,
  isCut = false,
}: {
  input: Readonly<Record<string, unknown>> | null;
  isCut?: boolean;
}): JSX.Element {
  const parts = describeInput(input);
  if (parts.length === 0)
    return <p class="hint">{isCut ? "The input is too long to be shown." : "The tool has no input."}</p>;
  return (
    <div class="tool-input">
      {parts.map((part, index) => (
        <Part key={index} part={part} />
      ))}
    </div>
  );
}

function Part({ part }: { part: InputPart }): JSX.Element {
  switch (part.kind) {
    case "command":
      return (
        <pre tabIndex={0} class="command" aria-label="Command">
          {part.text}
        </pre>
      );
    case "path":
      return <p class="path mono">{part.text}</p>;
    case "edit":
      return <Diff before={part.before} after={part.after} />;
    case "member":
      if (part.text.length <= maxShort && !part.text.includes("\n")) {
        return (
          <p class="member">
            <span>{part.name}</span> <code>{part.text}</code>
          </p>
        );
      }
      return (
        <div class="member">
          <span>{part.name}</span>
          <pre tabIndex={0} aria-label={part.name}>
            {part.text}
          </pre>
        </div>
      );
  }
}

/** The difference of two texts. */
export function Diff({ before, after }: { before: string; after: string }): JSX.Element {
  return (
    <pre class="diff" tabIndex={0} aria-label="Changes">
      {diffText(before, after).map(({ kind, text }, index) => (
        <span key={index} class={kind}>
          <span class="gutter" aria-hidden="true">
            {marks[kind]}
          </span>
          <span class="sr">{words[kind]}</span>
          {text}
          {"\n"}
        </span>
      ))}
    </pre>
  );
}
