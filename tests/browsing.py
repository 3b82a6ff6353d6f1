"""Chromium as the tests of the pages start it, and how they look for poor contrast."""

from __future__ import annotations

from pathlib import Path

CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WORDS = "p, td, th, dt, dd, li, a, h1, h2, h3, h4, summary, button, label, figcaption, code"
# Words whose contrast to what lies behind them is under 4.5 (WCAG 2.2, 1.4.3).
CONTRASTS = """
(words) => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const over = (below, [r, g, b, a = 1]) => below.map((v, i) => v * (1 - a) + [r, g, b][i] * a);
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(numbers(getComputedStyle(at).backgroundColor));
    return layers.reduce(over, [255, 255, 255]);
  };
  const poor = [];
  for (const element of document.querySelectorAll(words)) {
    if (!element.textContent.trim() || !element.checkVisibility()) continue;
    if (element.closest(".skip, caption, [hidden]")) continue;
    const pair = [light(numbers(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (ratio < 4.5) poor.push(`${element.className} ${element.textContent.slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return poor;
}
"""
