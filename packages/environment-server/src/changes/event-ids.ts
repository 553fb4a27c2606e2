/**
 * Ids of events. An id has the place of its event in the log of all tenants, sealed, so that nobody can count in it what others do: ids of the
 * same position and time are equal, and otherwise nothing in two ids says which one is later, or how far apart they are.
 *
 * The construction is that of SIV (RFC 5297, section 2): a keyed digest of the place is the tag, and a keyed digest of the tag is the mask
 * that covers the place. Without the key both look random, and a mask covers no other place. Reading an id checks its tag, so a changed or
 * invented one opens with a chance of 2^-64. The key is the name of the series of positions: it is random, leaves the log nowhere else, and is
 * restored and shared with it. A digest that begins with a key is safe here without HMAC, because it never leaves whole and cannot be extended.
 */
import type { Sha256 } from "@letta-environments/platform";
import type { ChangeSeries } from "../change-log.ts";

/** A place between two changes: the series of positions, the position, and a time. */
export interface Cursor {
  readonly epoch: string;
  readonly position: number;
  /** When the last change up to here was stored, in epoch milliseconds. */
  readonly atMs: number;
}

/** Writes and reads ids of events. */
export interface EventIds {
  write(cursor: Cursor): string;
  /** Reads an id of any series of a log; `unknown` for every other one. */
  read(id: string, series: ChangeSeries): Cursor | "unknown";
}

const tagLength = 16;

/** Digits of a number up to 2^53. */
const numberLength = 14;

const sealedPattern = /^[0-9a-f]{44}$/;

/** Ids of any version: characters that a URL may have unescaped (RFC 3986, section 2.3). */
const idPattern = /^[\w.~-]{1,128}$/;

/** Returns whether a text may be the id of an event, also one of an earlier or a later version. */
export function isEventId(text: string): boolean {
  return idPattern.test(text);
}

export function createEventIds(sha256: Sha256): EventIds {
  const tagOf = (epoch: string, place: string): string => sha256(`${epoch} tag ${place}`).slice(0, tagLength);
  /** Covers a place, or uncovers it. */
  function mask(epoch: string, tag: string, place: string): string {
    const digest = sha256(`${epoch} mask ${tag}`).slice(0, 2 * numberLength);
    return (BigInt(`0x${place}`) ^ BigInt(`0x${digest}`)).toString(16).padStart(2 * numberLength, "0");
  }
  return {
    write({ epoch, position, atMs }) {
      const place = digitsOf(position) + digitsOf(Math.max(0, Math.trunc(atMs)));
      const tag = tagOf(epoch, place);
      return tag + mask(epoch, tag, place);
    },
    read(id, { epoch: present, former }) {
      if (!sealedPattern.test(id)) return "unknown";
      const tag = id.slice(0, tagLength);
      for (const epoch of [present, ...former.map((series) => series.epoch)]) {
        const place = mask(epoch, tag, id.slice(tagLength));
        if (tagOf(epoch, place) !== tag) continue;
        const [position, atMs] = [place.slice(0, numberLength), place.slice(numberLength)];
        return { epoch, position: Number.parseInt(position, 16), atMs: Number.parseInt(atMs, 16) };
      }
      return "unknown";
    },
  };
}

function digitsOf(number: number): string {
  return number.toString(16).padStart(numberLength, "0");
}
