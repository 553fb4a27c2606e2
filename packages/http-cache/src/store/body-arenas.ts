/** Where a body lies. Its bytes are written once and never again, so a view of them stays right whatever becomes of the entry. */
export interface BodyPlace {
  arena: BodyArena;
  offset: number;
  length: number;
  /** Where it stands in its block's list. */
  index: number;
  isReleased: boolean;
}

/** A block of memory that bodies are appended to. */
export interface BodyArena {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What lies in it; a released place leaves a gap, so that a block holds no entry that is gone. */
  readonly places: (BodyPlace | null)[];
  usedBytes: number;
  deadBytes: number;
}

/** Packs bodies into large blocks: an array of its own costs each body some hundred bytes more. */
export interface BodyArenas {
  /** Bytes of all blocks, what is dead in them included. */
  readonly allocatedBytes: number;
  /** Copies a body and says in `place` where it lies. */
  write(body: Uint8Array, place: BodyPlace): void;
  release(place: BodyPlace): void;
}

const arenaBytes = 262_144;
const largestPackedBytes = 32_768;
/** Part of a block that may be dead before what lives in it is moved elsewhere. */
const deadShare = 0.25;
/** What a live byte can cost at most, beside the block that is being filled. */
export const arenaOverhead: number = 1 / (1 - deadShare);

/** A place that holds nothing. */
export const nowhere: BodyArena = createArena(0);

/** The bytes of a place, not copied. */
export function readBody({ arena, offset, length }: BodyPlace): Uint8Array<ArrayBuffer> {
  return new Uint8Array(arena.bytes.buffer, offset, length);
}

/** Creates an empty set of blocks. */
export function createBodyArenas(): BodyArenas {
  let current = createArena(arenaBytes);
  let allocatedBytes = arenaBytes;

  function arenaFor(length: number): BodyArena {
    if (length > largestPackedBytes) {
      allocatedBytes += length;
      return createArena(length);
    }
    if (current.usedBytes + length > arenaBytes) {
      const full = current;
      current = createArena(arenaBytes);
      allocatedBytes += arenaBytes;
      moveOutIfDead(full);
    }
    return current;
  }

  function write(body: Uint8Array, place: BodyPlace): void {
    // An empty body fills no block, so it would stay on the list of one for ever.
    if (body.length === 0) return;
    const arena = arenaFor(body.length);
    arena.bytes.set(body, arena.usedBytes);
    place.arena = arena;
    place.offset = arena.usedBytes;
    place.length = body.length;
    place.index = arena.places.length;
    arena.usedBytes += body.length;
    arena.places.push(place);
  }

  /** A block is never emptied to be filled again: whoever reads it keeps it, and the collector takes it when nobody does. */
  function moveOutIfDead(arena: BodyArena): void {
    if (arena === current || arena.deadBytes < arena.usedBytes * deadShare) return;
    const places = arena.places.splice(0);
    allocatedBytes -= arena.bytes.length;
    for (const place of places) if (place !== null) write(readBody(place), place);
  }

  return {
    get allocatedBytes() {
      return allocatedBytes;
    },
    write,
    release(place) {
      if (place.isReleased) return;
      place.isReleased = true;
      if (place.length === 0) return;
      place.arena.places[place.index] = null;
      place.arena.deadBytes += place.length;
      moveOutIfDead(place.arena);
    },
  };
}

function createArena(length: number): BodyArena {
  return { bytes: new Uint8Array(length), places: [], usedBytes: 0, deadBytes: 0 };
}
