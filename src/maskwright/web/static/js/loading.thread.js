// On a thread of its own: photos are fetched, decoded and halved here, labels packed and unpacked.

import { fetchLabels, fetchPhoto, fetchProposal } from "./api.js";
import { patchBody } from "./codec.js";
import { halvesOf } from "./photo.js";
import { candidatesOf } from "./regions.js";
import { answerWith } from "./thread.js";

answerWith({
  async photo({ id, what }, signal) {
    const levels = await halvesOf(await fetchPhoto(id, what, signal));
    return { value: levels, transfer: levels };
  },
  async labels({ id, wide }, signal) {
    const labels = await fetchLabels(id, wide, signal);
    return { value: labels, transfer: [labels.plane.buffer] };
  },
  async proposal({ id, wide, classes }, signal) {
    const found = await fetchProposal(id, wide, signal);
    if (!found) return { value: null };
    const value = { ...found, candidates: candidatesOf(found.plane, found.width, classes) };
    return { value, transfer: [found.plane.buffer, found.doubt.buffer, ...value.candidates.map(({ soft }) => soft.buffer)] };
  },
  async pack({ tiles, wide }) {
    const body = await patchBody(tiles, wide);
    return { value: body, transfer: [body.buffer] };
  },
});
