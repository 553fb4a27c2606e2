import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { diffText, foldEmpty, linesToShow } from "../model/line-diff.ts";
import { describeInput, type InputPart } from "../model/tool-input.ts";
import { watchOverflow } from "../platform/overflow.ts";

const marks = { added: "+", removed: "−", same: " ", skipped: "…" } as const;
const words = { added: "added: ", removed: "removed: ", same: "", skipped: "" } as const;

/** Longer values have a separate box. */
const maxShort = 100;

/** The input of a tool for people: commands, paths, and edits as differences. @param isCut whether a part of it is missing */
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
      return <Text kind="command" label="Command" text={part.text} />;
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
          <Text label={part.name} text={part.text} />
        </div>
      );
  }
}

function Text({ label, kind = "", text }: { label: string; kind?: string; text: string }): JSX.Element {
  return (
    <Box label={label} kind={kind}>
      {linesToShow(text).flatMap((line, index) => [
        index > 0 && "\n",
        line.empty > 0 ? (
          <span key={index} class="folded">
            {emptyText(line.empty)}
          </span>
        ) : (
          line.text
        ),
      ])}
    </Box>
  );
}

function emptyText(count: number): string {
  return `… ${count} empty lines …`;
}

/** The difference of two texts. */
function Diff({ before, after }: { before: string; after: string }): JSX.Element {
  return (
    <Box label="Changes" kind="diff">
      {foldEmpty(diffText(before, after)).map(({ kind, text, empty }, index) => (
        <span key={index} class={kind}>
          <span class="gutter" aria-hidden="true">
            {marks[kind]}
          </span>
          <span class="sr">{words[kind]}</span>
          {empty > 0 ? <span class="folded">{emptyText(empty)}</span> : text}
          {"\n"}
        </span>
      ))}
    </Box>
  );
}

/** A box of lines. If they do not fit, it says how many there are, and fades while more of them are below. */
function Box({ label, kind, children }: { label: string; kind: string; children: ComponentChildren }): JSX.Element {
  const box = useRef<HTMLPreElement>(null);
  const [lines, setLines] = useState(0);
  const [isMoreBelow, setMoreBelow] = useState(false);
  useEffect(() => {
    if (box.current === null) return;
    return watchOverflow(box.current, (count, isMore) => {
      setLines(count);
      setMoreBelow(isMore);
    });
  }, []);
  return (
    <div>
      <pre ref={box} tabIndex={0} role="group" class={isMoreBelow ? `${kind} more` : kind} aria-label={label}>
        <span class="lines">{children}</span>
      </pre>
      {lines > 0 && <p class="hint">{lines} lines: scroll to read all of them.</p>}
    </div>
  );
}
