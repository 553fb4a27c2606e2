import { randomId } from "@letta-environments/platform/node";
import { expect, test } from "vitest";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { createAppendVia } from "./remote.ts";

const received = (via: string) => fakeRequest({ headers: { via } });

test("a Via that names this gateway is refused as a loop, whatever was appended, and a Via of another gateway is extended", () => {
  const [own, other] = [createAppendVia(randomId), createAppendVia(randomId)];
  const sent = own(fakeRequest()) ?? "";
  for (const via of [sent, `1.0 a, ${sent}`, `${sent}, HTTP/2 b (c)`]) {
    expect([own(received(via)), other(received(via))]).toEqual([
      null,
      expect.stringContaining(`${via}, 1.1 letta-proxy-`),
    ]);
  }
});

test("a received Via is extended, unless it is too long or has characters that are invalid in a field value", () => {
  const appendVia = createAppendVia(() => "me");
  expect(appendVia(received("1.1 a, 2 b (c)"))).toBe("1.1 a, 2 b (c), 1.1 me");
  for (const value of ["", "1.1 a\r\nx: y", "1.1 \u00e9", "a".repeat(513)]) {
    expect(appendVia(received(value))).toBe("1.1 me");
  }
});
