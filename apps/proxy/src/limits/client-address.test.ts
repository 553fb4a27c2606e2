import process from "node:process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { clientAddress, groupAddress } from "./client-address.ts";

/** A request of a peer with these header fields. */
const requestWith = (fields: Readonly<Record<string, string>>) => ({
  clientAddress: "192.0.2.7",
  header: (name: string) => fields[name] ?? null,
});

describe("the client's address", () => {
  test.each([
    ["no proxy is trusted", "203.0.113.9, 198.51.100.1", 0, "192.0.2.7"],
    ["one proxy is trusted", "203.0.113.9, 198.51.100.1", 1, "198.51.100.1"],
    ["two proxies are trusted", "203.0.113.9, 198.51.100.1", 2, "203.0.113.9"],
    ["there are fewer hops than trusted proxies", "203.0.113.9", 3, "203.0.113.9"],
    ["the header is empty", "", 1, "192.0.2.7"],
    ["elements are empty", ", 203.0.113.9,, ", 1, "203.0.113.9"],
    ["an element has a port", "203.0.113.9:4711", 1, "203.0.113.9"],
    ["an element has brackets and a port", "[2001:db8::1]:4711", 1, "2001:db8:0:0::/64"],
    ["the element of the client is not an address", "203.0.113.9, unknown", 1, null],
  ])("the client's address comes from X-Forwarded-For when %s", (_, xForwardedFor, trustedHops, expected) => {
    const request = requestWith({ "x-forwarded-for": xForwardedFor, forwarded: "for=198.51.100.99" });
    expect(clientAddress(request, { trustedHops, header: "x-forwarded-for" })).toBe(expected);
  });

  test.each([
    ["for=203.0.113.9;proto=https, for=198.51.100.1", 2, "203.0.113.9"],
    ['For="[2001:DB8:cafe::17]:4711";by=_x', 1, "2001:db8:cafe:0::/64"],
    ['proto=http; for="203.0.113.9:80" ;by="a,b;for=1.1.1.1"', 1, "203.0.113.9"],
    ["for=unknown, for=198.51.100.1", 2, null],
    ["for=_hidden", 1, null],
    ["for=203.0.113.9 ; proto=https ; ", 1, "203.0.113.9"],
    ["for=203.0.113.9;;proto=https", 1, null],
    ["for=203.0.113.9 proto=https", 1, null],
    ["proto=https", 1, null],
    ["", 1, "192.0.2.7"],
  ])("the client's address comes from Forwarded (RFC 7239): %s", (forwarded, trustedHops, expected) => {
    const request = requestWith({ forwarded, "x-forwarded-for": "198.51.100.99" });
    expect(clientAddress(request, { trustedHops, header: "forwarded" })).toBe(expected);
  });

  test("the client's address does not depend on entries that a client adds before those of the proxies", () => {
    const honest = "203.0.113.9, 198.51.100.1";
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(fc.ipV4()).map((hops) => hops.join(", ")),
        ),
        (written) => {
          const request = requestWith({ "x-forwarded-for": `${written}, ${honest}` });
          expect(clientAddress(request, { trustedHops: 2, header: "x-forwarded-for" })).toBe("203.0.113.9");
        },
      ),
    );
  });

  test("the client's address cannot be forged with an unclosed quote in Forwarded", () => {
    const written = ['for=9.9.9.9;x="', 'for="', 'for=9.9.9.9;x="\\', 'for=9.9.9.9, "', 'for=9.9.9.9;x="a", "'];
    const unit = fc.constantFrom('"', ",", ";", "=", " ", "\\", "for=", "9.9.9.9", "x");
    for (const left of [...written, ...fc.sample(fc.string({ unit }), 500)]) {
      const forwarded = `${left}, for="[2001:db8::1]:4711";proto=https`;
      const request = requestWith({ forwarded });
      const address = clientAddress(request, { trustedHops: 1, header: "forwarded" });
      expect([left, address]).toEqual([left, "2001:db8:0:0::/64"]);
    }
  });

  test("the client's address is found in hostile Forwarded fields of maximum length in less than half a second of processor time", () => {
    const spaces = " ".repeat(15_500);
    const hostile = [
      ...["for=a;".repeat(2_700), ",".repeat(16_000), `"${",".repeat(16_000)}`, 'a="'.repeat(5_000)],
      ...[`for=a${spaces}x`, `for=a;${spaces}x`, `for=a${spaces};x`, `a=b${spaces}x`, `a=b;${spaces}x`, `${spaces}x`],
      ...["for=a ; ".repeat(2_000), "a=b ; ".repeat(2_500), "a=b;for=".repeat(2_000), `for="${"\\a".repeat(7_500)}`],
    ];
    const before = process.cpuUsage();
    for (const left of hostile) {
      for (const forwarded of [left, `${left}, for=1.2.3.4`]) {
        for (const trustedHops of [1, 2]) {
          clientAddress(requestWith({ forwarded }), { trustedHops, header: "forwarded" });
        }
      }
    }
    expect(process.cpuUsage(before).user).toBeLessThan(500_000);
  });

  test("the client's address is null for anything that is not an IP address", () => {
    for (const text of [
      null,
      "",
      "unknown",
      "1.2.3",
      "1.2.3.4.5",
      "256.1.1.1",
      "01.2.3.4",
      "0x7f.1",
      "1.2.3.4/8",
      ":",
      ":::",
      "1::2::3",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "12345::",
      "g::",
      "::1%",
      "::1.2.3",
      "1.2.3.4::",
      "::ffff:1.2.3.4:1",
      "a".repeat(1_000),
    ])
      expect([text, groupAddress(text)]).toEqual([text, null]);
  });

  test.each([
    ["1.2.3.4", "1.2.3.4"],
    ["::ffff:1.2.3.4", "1.2.3.4"],
    ["::FFFF:102:304", "1.2.3.4"],
    ["0:0:0:0:0:ffff:0102:0304", "1.2.3.4"],
    ["::ffff:1.2.3.4%eth0", "1.2.3.4"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:0DB8:0001:0002::", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::ffff", "2001:db8:1:2::/64"],
    ["2001:db8:1:2:3:4:1.2.3.4", "2001:db8:1:2::/64"],
    ["fe80::1%en0", "fe80:0:0:0::/64"],
    ["::", "0:0:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["1:2:3:4:5:6:7::", "1:2:3:4::/64"],
  ])("the rate-limit key of the address %s is %s", (text, expected) => {
    expect(groupAddress(text)).toBe(expected);
  });

  test("the rate-limit key is the same for every notation of an address, and for every address of its /64", () => {
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        const group = groupAddress(text);
        expect(group).not.toBeNull();
        expect(groupAddress(text.toUpperCase())).toBe(group);
        expect(groupAddress(`${text}%1`)).toBe(group);
        if (group?.endsWith("::/64") === true) expect(groupAddress(group.replace("::/64", ":9:8:7:6"))).toBe(group);
      }),
    );
  });
});
