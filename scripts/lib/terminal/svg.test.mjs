import { expect, test } from "vitest";
import { renderTerminal } from "./svg.mjs";

test("each run of one style is a text element at its column, without spaces that a renderer could collapse, and with markup escaped", () => {
  const svg = renderTerminal(["\u001b[1mNAME\u001b[22m <demo>"], 40, "a & b");
  expect(svg).toContain('<text x="20" y="35" textLength="33.6" font-weight="bold">NAME</text>');
  expect(svg).toContain('<text x="62" y="35" textLength="50.4">&lt;demo&gt;</text>');
  expect(svg).toContain("<title>a &amp; b</title>");
});

test("a control sequence that the picture cannot show is an error", () => {
  expect(() => renderTerminal(["\u001b[5mblinking"], 40, "")).toThrow("control sequence");
  expect(() => renderTerminal(["a\rb"], 40, "")).toThrow("cannot show");
});
