import { expect, test } from "vitest";
import { endOfResponse } from "./end-of-response.ts";

const whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello";
const chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";

test.each([whole, chunked])("a response is complete at its last byte and not before: %j", (text) => {
  const bytes = Buffer.from(text);
  for (let length = 0; length < bytes.length; length++) expect(endOfResponse(bytes.subarray(0, length))).toBeNull();
  expect(endOfResponse(bytes)).toBe(bytes.length);
  expect(endOfResponse(Buffer.concat([bytes, bytes]))).toBe(bytes.length);
});

test("a response that is not a success is never counted", () => {
  expect(() => endOfResponse(Buffer.from("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"))).toThrow("401");
});

test("a response whose end cannot be determined is never counted", () => {
  expect(() => endOfResponse(Buffer.from("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"))).toThrow("neither");
});
