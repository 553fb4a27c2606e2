import { expect, test } from "vitest";
import { isSupportedNode } from "./ensure-node.mjs";

test.each(["v22.18.0", "v22.23.3", "v24.11.0", "v24.21.0", "v26.0.0", "v27.1.0"])(
  "%s runs the sources as it is",
  (version) => {
    expect(isSupportedNode(version)).toBe(true);
  },
);

test.each(["v18.20.0", "v20.20.2", "v22.17.1", "v23.11.0", "v24.10.0", "v25.2.0"])("%s is replaced", (version) => {
  expect(isSupportedNode(version)).toBe(false);
});
