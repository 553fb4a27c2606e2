/** Where a body is stored. Its bytes are never overwritten, so a view of them stays valid even after the entry is removed. */
export interface BodyPlace {
  arena: BodyArena;
  offset: number;
  length: number;
  /** Its index in the arena's list of places. */
  index: number;
  isReleased: boolean;
}

/** A block of memory to which bodies are appended. */
export interface BodyArena {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The places in this block. A released place becomes `null`, so that the block does not keep removed entries alive. */
  readonly places: (BodyPlace | null)[];
  usedBytes: number;
  deadBytes: number;
}

/** Packs bodies into large blocks. A separate array would cost about a hundred bytes more for each body. */
export interface BodyArenas {
  /** Bytes of all blocks, including the dead ones in them. */
  readonly allocatedBytes: number;
  /** Copies a body, behind its head if it has one, and writes the location of both into `place`. */
  write(body: Uint8Array, place: BodyPlace, head?: Uint8Array): void;
  release(place: BodyPlace): void;
}

const arenaBytes = 262_144;
const largestPackedBytes = 32_768;
/** The share of a block that may be dead before its live bodies are moved to another block. */
const deadShare = 0.25;
/** The largest number of bytes that one live byte can occupy, not counting the block that is being filled. */
export const arenaOverhead: number = 1 / (1 - deadShare);

/** The arena of a place without a body. */
export const nowhere: BodyArena = createArena(0);

const noHead = new Uint8Array(0);

/** A view of the bytes of a place. */
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

  function write(body: Uint8Array, place: BodyPlace, head: Uint8Array = noHead): void {
    const length = head.length + body.length;
    // An empty body never fills a block, so a block would keep its place forever.
    if (length === 0) return;
    const arena = arenaFor(length);
    arena.bytes.set(head, arena.usedBytes);
    arena.bytes.set(body, arena.usedBytes + head.length);
    place.arena = arena;
    place.offset = arena.usedBytes;
    place.length = length;
    place.index = arena.places.length;
    arena.usedBytes += length;
    arena.places.push(place);
  }

  /** Moves the live bodies of a mostly dead block. The block is not reused, because readers may hold views of it; it is garbage collected later. */
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
