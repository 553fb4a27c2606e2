/** Renders the text of a terminal, with its ANSI colours, as an SVG picture. */

/** Colours of the picture by the SGR code (ECMA-48 section 8.3.117) that starts them. */
const styles = new Map([
  ["1", 'font-weight="bold"'],
  ["2", 'fill="#8b949e"'],
  ["31", 'fill="#ff7b72"'],
  ["32", 'fill="#7ee787"'],
  ["33", 'fill="#e3b341"'],
  ["36", 'fill="#79c0ff"'],
]);
/** The codes that end a style. */
const ends = new Set(["0", "22", "39"]);

const cell = { width: 8.4, height: 20 };
const margin = 20;

/**
 * Renders lines of text. Characters have a fixed width, so the picture is the same with every monospaced font.
 *
 * @param {readonly string[]} lines with SGR sequences for bold and colours; any other control sequence is an error
 * @param {number} columns the width of the terminal in characters
 * @param {string} title for people who cannot see the picture
 * @returns {string}
 * @throws {Error} on an unknown control sequence
 */
export function renderTerminal(lines, columns, title) {
  const width = Math.round(columns * cell.width + 2 * margin);
  const height = lines.length * cell.height + 2 * margin + 10;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>`,
    '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14" fill="#e6edf3">',
    ...lines.flatMap((line, index) => renderLine(line, margin + 15 + index * cell.height)),
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

/** @param {string} line @param {number} y @returns {string[]} */
function renderLine(line, y) {
  /** @type {string[]} */
  const texts = [];
  let column = 0;
  let style = "";
  // eslint-disable-next-line no-control-regex
  for (const part of line.split(/(\u001b\[[0-9;]*m)/)) {
    if (part.startsWith("\u001b[")) {
      const code = part.slice(2, -1);
      const next = ends.has(code) ? "" : styles.get(code);
      if (next === undefined) throw new Error(`the picture does not know the control sequence ${JSON.stringify(part)}`);
      style = next;
    } else if (part !== "") {
      // eslint-disable-next-line no-control-regex
      if (/[\u0000-\u001f\u007f]/.test(part)) throw new Error(`the picture cannot show ${JSON.stringify(part)}`);
      // Renderers collapse spaces, so each text starts at its own column and has single spaces only.
      for (const { 0: text, index } of part.matchAll(/\S+(?: \S+)*/g)) {
        const x = Number((margin + (column + index) * cell.width).toFixed(1));
        const length = Number((text.length * cell.width).toFixed(1));
        const attributes = [`x="${x}" y="${y}" textLength="${length}"`, style].filter(Boolean).join(" ");
        texts.push(`<text ${attributes}>${escapeXml(text)}</text>`);
      }
      column += part.length;
    }
  }
  return texts;
}

/** @param {string} text */
function escapeXml(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
