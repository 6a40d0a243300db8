"use strict";
const said = document.getElementById("said"), data = document.getElementById("frames");

if (data) {
  const { epochs, frames } = JSON.parse(data.textContent), timers = [];
  const [slider, shown, play] = ["epoch", "shown", "play"].map(id => document.getElementById(id));
  const moves = [...document.querySelectorAll(".moves")];
  const show = at => {
    frames[at].forEach((value, index) => {
      const element = moves[index]; // the last one is missing where the course could not be drawn
      if (!element) return;
      if (element.localName === "path") element.setAttribute("d", value);
      else element.textContent = value;
    });
    shown.textContent = epochs[at];
    slider.setAttribute("aria-valuetext", `epoch ${epochs[at]}`);
  };
  const stop = () => { clearInterval(timers.pop()); play.textContent = "play"; };
  slider.parentElement.hidden = false;
  slider.addEventListener("input", () => show(slider.value));
  play.addEventListener("click", () => {
    if (timers.length) return stop();
    if (slider.value === slider.max) slider.value = 0;
    play.textContent = "stop";
    show(slider.value);
    timers.push(setInterval(() => {
      slider.stepUp();
      show(slider.value);
      if (slider.value === slider.max) stop();
    }, 500));
  });
  addEventListener("beforeprint", () => show(frames.length - 1));
  addEventListener("afterprint", () => show(slider.value));
  slider.value = slider.max; // a browser may remember another
  show(slider.value);
}

addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(d => { d.open = true; }));

const order = new Intl.Collator();
const key = cell => { // a text without its numbers, then the first of them
  const number = /[-−]?\d[\d.]*(e[-+]?\d+)?/g, text = cell.textContent;
  return [text.replace(number, ""), Number((text.match(number) || ["NaN"])[0].replace("−", "-"))];
};
for (const table of document.querySelectorAll("table.sorts")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.firstChild.addEventListener("click", () => {
    const sign = head.ariaSort === "ascending" ? -1 : 1, word = sign > 0 ? "ascending" : "descending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", word);
    said.textContent = `sorted by ${head.firstChild.ariaLabel}, ${word}`;
    const keyed = [...body.rows].map(row => [row, ...key(row.cells[column])]);
    keyed.sort((a, b) => sign * (order.compare(a[1], b[1]) || a[2] - b[2]) || 0);
    body.append(...keyed.map(([row]) => row));
  }));
}

for (const button of document.querySelectorAll(".copied button")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    getSelection().selectAllChildren(button.previousSibling);
    try {
      await navigator.clipboard.writeText(button.previousSibling.textContent);
      said.textContent = button.textContent = "copied";
    } catch {
      said.textContent = button.textContent = "selected"; // a page from a disk may not be allowed to
    }
  });
}
