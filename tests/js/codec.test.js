import assert from "node:assert/strict";
import { test } from "node:test";
import * as codec from "../../src/maskwright/web/static/js/codec.js";
import { repeat } from "./random.js";

test("tiles go to bytes and back, with 8 and 16 bits", () =>
  repeat(60, async ({ whole, share }) => {
    const wide = share() < 0.5;
    const tiles = Array.from({ length: whole(5) }, () => {
      const [w, h] = [1 + whole(30), 1 + whole(30)];
      const values = Array.from({ length: w * h }, () => whole(wide ? 65536 : 256));
      return { x: whole(9000), y: whole(9000), w, h, data: wide ? Uint16Array.from(values) : Uint8Array.from(values) };
    });
    const bytes = await codec.inflate(await codec.patchBody(tiles, wide));
    assert.deepEqual(codec.unpackTiles(bytes, wide), tiles);
    if (bytes.length) assert.throws(() => codec.unpackTiles(bytes.subarray(0, bytes.length - 1), wide), /cut off/);
  }));

test("the bytes are those of the API: four little-endian numbers, then labels", () => {
  const tile = { x: 1, y: 258, w: 2, h: 1, data: Uint16Array.of(3, 515) };
  assert.deepEqual([...codec.packTiles([tile], true)], [1, 0, 0, 0, 2, 1, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 3, 2]);
  assert.deepEqual([...codec.packTiles([{ ...tile, data: Uint8Array.of(3, 4) }], false).subarray(16)], [3, 4]);
});

test("a plane of the wrong length is refused in words", async () => {
  assert.deepEqual(codec.planeFromBytes(Uint8Array.of(1, 0, 2, 1), 2, 1, true), Uint16Array.of(1, 258));
  assert.throws(() => codec.planeFromBytes(new Uint8Array(5), 2, 2, false), /5 bytes arrived for a mask of 4/);
  await assert.rejects(codec.deflate(new Uint8Array(9)).then((bytes) => codec.inflate(bytes, 8)), /load the image again/);
});

test("zlib's format it is, and bits and base64 come back", () =>
  repeat(40, async ({ whole, mask }) => {
    const [w, h] = [1 + whole(40), 1 + whole(40)];
    const ones = mask(w, h);
    assert.deepEqual(codec.unpackBits(codec.packBits(ones), w * h), ones);
    assert.deepEqual(codec.fromBase64(codec.toBase64(ones)), ones);
    const squeezed = await codec.deflate(ones);
    assert.equal(squeezed[0] & 15, 8);
    assert.equal(((squeezed[0] << 8) | squeezed[1]) % 31, 0);
    const candidate = await codec.softFrom({ x: 1, w, h, score: 0.5, soft: codec.toBase64(squeezed) });
    assert.deepEqual([candidate.soft, candidate.score], [ones, 0.5]);
    const { bits } = await codec.previousFrom({ x: 0, y: 0, w, h, mask: ones, area: 0 });
    assert.deepEqual(codec.unpackBits(await codec.inflate(codec.fromBase64(bits)), w * h), ones);
  }));

test("numpy's order of bits", () => {
  assert.deepEqual([...codec.packBits(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0, 1))], [128, 64]);
});

test("base64 of more bytes than a call takes arguments", () => {
  const bytes = new Uint8Array(300000).fill(200);
  assert.deepEqual(codec.fromBase64(codec.toBase64(bytes)), bytes);
});
