import assert from "node:assert/strict";
import { test } from "node:test";

import { addressOf, curlOf, endingOf, isText, operationsOf, pretty } from "../../src/maskwright/serving/static/js/operations.js";
import { countsOf, idAt, paint, shareOf } from "../../src/maskwright/serving/static/js/paint.js";
import { decodeIds } from "../../src/maskwright/serving/static/js/png.js";
import { deflate } from "../../src/maskwright/web/static/js/codec.js";

/** @param {string} kind @param {Uint8Array} data */
function chunk(kind, data) {
  const bytes = new Uint8Array(12 + data.length);
  new DataView(bytes.buffer).setUint32(0, data.length);
  bytes.set([...kind].map((letter) => letter.charCodeAt(0)), 4);
  bytes.set(data, 8);
  return bytes;
}

/**
 * A PNG as the server writes it; checksums are the transport's business.
 * @param {number} width @param {number} height @param {number[]} lines @param {{depth?: number, colour?: number, parts?: number}} kind
 */
async function png(width, height, lines, kind = {}) {
  const { depth = 8, colour = 3, parts = 1 } = kind;
  const head = new Uint8Array(13);
  new DataView(head.buffer).setUint32(0, width);
  new DataView(head.buffer).setUint32(4, height);
  head.set([depth, colour], 8);
  const packed = await deflate(Uint8Array.from(lines));
  const each = Math.ceil(packed.length / parts);
  const pixels = Array.from({ length: parts }, (_, i) => chunk("IDAT", packed.subarray(i * each, (i + 1) * each)));
  const all = [new Uint8Array([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]), chunk("IHDR", head), chunk("PLTE", new Uint8Array(9)), ...pixels, chunk("IEND", new Uint8Array())];
  return Uint8Array.from(all.flatMap((part) => [...part]));
}

const CLASSES = /** @type {import("../../src/maskwright/serving/static/js/paint.js").ClassRow[]} */ ([
  { id: 0, name: "ground", colour: [1, 2, 3] }, { id: 1, name: "disc", colour: [200, 100, 50] }, { id: 2, name: "box", colour: [1, 2, 3] },
]);

test("ids come out of a PNG as they went in, in one part or several", async () => {
  for (const parts of [1, 3]) {
    const plane = await decodeIds(await png(3, 2, [0, 0, 1, 2, 0, 2, 255, 0], { parts }));
    assert.deepEqual({ ...plane, ids: [...plane.ids] }, { width: 3, height: 2, ids: [0, 1, 2, 2, 255, 0] });
  }
});

test("wide ids have their high byte first", async () => {
  const { ids } = await decodeIds(await png(2, 1, [0, 1, 2, 255, 255], { depth: 16, colour: 0 }));
  assert.deepEqual([...ids], [258, 65535]);
});

test("what is no plane of ids is refused", async () => {
  const cases = [
    await png(2, 1, [1, 5, 5]), await png(2, 2, [0, 5, 5]), await png(2, 1, [0, 1, 2], { colour: 2 }), await png(2, 1, [0, 1, 2], { depth: 4 }),
    new TextEncoder().encode("<html>".repeat(20)), new Uint8Array(),
  ];
  for (const bytes of cases) await assert.rejects(decodeIds(bytes), /not a plane of class ids/);
});

test("pixels are counted by class, ignored ones by none", () => {
  assert.deepEqual(countsOf({ width: 5, height: 1, ids: Uint8Array.of(0, 1, 1, 255, 2) }, CLASSES), [1, 2, 1]);
});

test("a picture has the colours of the shown classes and nothing else", () => {
  const plane = { width: 3, height: 1, ids: Uint8Array.of(0, 1, 255) };
  const { pixels } = paint(plane, CLASSES, (id) => id > 0, 100);
  assert.deepEqual([...pixels], [0, 0, 0, 0, 200, 100, 50, 255, 0, 0, 0, 0]);
});

test("a large mask is painted smaller, from the middles of its pixels", () => {
  const ids = Uint8Array.from({ length: 90 * 30 }, (_, i) => (i % 90 < 45 ? 1 : 0));
  const { width, height, pixels } = paint({ width: 90, height: 30, ids }, CLASSES, () => true, 9);
  assert.deepEqual([width, height], [9, 3]);
  assert.deepEqual([...pixels.slice(0, 4 * 9)].filter((_, i) => i % 4 === 0), [200, 200, 200, 200, 1, 1, 1, 1, 1]);
});

test("a place has the id under it, and none outside", () => {
  const plane = { width: 4, height: 2, ids: Uint8Array.of(0, 0, 0, 0, 0, 0, 2, 0) };
  assert.deepEqual(idAt(plane, 0.6, 0.9), { x: 2, y: 1, id: 2 });
  assert.equal(idAt(plane, 1, 0.5), null);
  assert.equal(idAt(plane, -0.01, 0.5), null);
});

test("shares are words", () => {
  assert.deepEqual([[0, 9], [1, 9999], [1, 3], [3, 3]].map(([count, all]) => shareOf(count, all)), ["–", "< 0.1 %", "33.3 %", "100.0 %"]);
});

const SCHEMA = {
  paths: {
    "/segment": {
      post: {
        summary: "Segment", description: "Segment a photo.",
        parameters: [{ name: "as", in: "query", description: "how", schema: { enum: ["ids", "areas"], default: "areas" } }],
        requestBody: { content: { "image/*": {}, "multipart/form-data": {} } },
        responses: { 200: { description: "The mask.", content: { "image/png": {} } }, 429: { description: "Too many." } },
      },
    },
    "/health": { get: { summary: "Health", responses: {} } },
  },
};

test("an OpenAPI description becomes operations", () => {
  const [segment, health] = operationsOf(SCHEMA);
  assert.deepEqual([segment.method, segment.path, segment.photo, segment.about], ["POST", "/segment", true, "Segment a photo."]);
  assert.deepEqual(segment.parameters, [{ name: "as", about: "how", choices: ["ids", "areas"], value: "areas" }]);
  assert.deepEqual(segment.answers, [{ code: "200", about: "The mask.", types: ["image/png"] }, { code: "429", about: "Too many.", types: [] }]);
  assert.deepEqual([health.photo, health.parameters, health.answers], [false, [], []]);
  assert.deepEqual(operationsOf({}), []);
});

test("an operation is an address and a command", () => {
  const [segment, health] = operationsOf(SCHEMA);
  assert.equal(addressOf(segment, { as: "ids" }), "segment?as=ids");
  assert.equal(addressOf(health, {}), "health");
  assert.equal(curlOf(segment, { as: "ids" }, "http://x/y/", true), `curl -H "Authorization: Bearer $TOKEN" --data-binary @PHOTO.jpg 'http://x/y/segment?as=ids' -o ANSWER`);
  assert.equal(curlOf(health, {}, "http://x/", false), "curl 'http://x/health'");
});

test("answers are text or pictures, and text is cut", () => {
  assert.deepEqual(["application/geo+json", "text/plain; charset=utf-8", "image/png"].map(isText), [true, true, false]);
  assert.deepEqual(["image/jpeg", "application/geo+json", "text/plain; version=0.0.4"].map(endingOf), [".jpg", ".geojson", ".txt"]);
  assert.equal(pretty('{"a":1}', "application/json", 99), '{\n  "a": 1\n}');
  assert.equal(pretty("{", "application/json", 99), "{");
  assert.equal(pretty("abcdef", "text/plain", 4), "abcd\n... and 2 characters more");
});
