/** Draws the Markdown of agents as elements. */
import { printableLines } from "@letta-environments/command-line/printable";
import type { ComponentChildren, JSX } from "preact";
import { useMemo } from "preact/hooks";
import { type Block, type Inline, parseMarkdown } from "../model/markdown.ts";
import { CopyBlock } from "./copy.tsx";

/** The longest text that is read as Markdown, in characters; a longer one is shown unchanged. It is read again with each word that is added. */
const maxLength = 30_000;

/** Draws a text as Markdown. */
export function Markdown({ text }: { text: string }): JSX.Element {
  return useMemo(
    () =>
      text.length > maxLength ? (
        <pre class="plain">{printableLines(text)}</pre>
      ) : (
        <div class="markdown">{drawBlocks(parseMarkdown(text))}</div>
      ),
    [text],
  );
}

function drawBlocks(blocks: readonly Block[]): ComponentChildren {
  return blocks.map((block, index) => <DrawnBlock key={index} block={block} />);
}

function DrawnBlock({ block }: { block: Block }): JSX.Element {
  switch (block.kind) {
    case "paragraph":
      return <p>{draw(block.children)}</p>;
    case "heading":
      // The page has its own headings, so headings of a text are only styled paragraphs.
      return <p class={`heading h${block.level}`}>{draw(block.children)}</p>;
    case "code":
      return <CopyBlock text={block.text} />;
    case "quote":
      return <blockquote>{drawBlocks(block.blocks)}</blockquote>;
    case "list": {
      const items = block.items.map((item, index) => <li key={index}>{drawItem(item)}</li>);
      return block.start === null ? <ul>{items}</ul> : <ol start={block.start}>{items}</ol>;
    }
    case "table":
      return <Table block={block} />;
    case "rule":
      return <hr />;
  }
}

/** A short item is a line, without the space around paragraphs. */
function drawItem(blocks: readonly Block[]): ComponentChildren {
  const [first, ...others] = blocks;
  return first?.kind === "paragraph" ? [draw(first.children), drawBlocks(others)] : drawBlocks(blocks);
}

function Table({ block }: { block: Extract<Block, { kind: "table" }> }): JSX.Element {
  const styleOf = (column: number): { textAlign?: "right" | "center" } => {
    const textAlign = block.aligns[column];
    return textAlign === undefined ? {} : { textAlign };
  };
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="Table">
      <table>
        <thead>
          <tr>
            {block.head.map((cell, index) => (
              <th key={index} style={styleOf(index)}>
                {draw(cell)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {block.rows.map((row, index) => (
            <tr key={index}>
              {row.map((cell, position) => (
                <td key={position} style={styleOf(position)}>
                  {draw(cell)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function draw(pieces: readonly Inline[]): ComponentChildren {
  return pieces.map((piece, index) => <DrawnInline key={index} piece={piece} />);
}

function DrawnInline({ piece }: { piece: Inline }): JSX.Element {
  switch (piece.kind) {
    case "text":
      return <>{piece.text}</>;
    case "code":
      return <code>{printableLines(piece.text)}</code>;
    case "strong":
      return <strong>{draw(piece.children)}</strong>;
    case "em":
      return <em>{draw(piece.children)}</em>;
    case "del":
      return <del>{draw(piece.children)}</del>;
    case "link":
      return (
        <a href={piece.address} target="_blank" rel="noopener noreferrer" title={piece.address}>
          {draw(piece.children)}
        </a>
      );
  }
}
