// Refreshes the overview every five seconds, unless somebody is working in it; says so when the hub does not answer.
"use strict";
const live = document.getElementById("live");
const offline = document.getElementById("offline");

function isBusy() {
  const focused = document.activeElement;
  const typed = [...live.querySelectorAll("input:not([type=hidden])")].some((input) => input.value);
  return document.hidden || typed || (live.contains(focused) && focused.matches("a, button, input"));
}

// A table stays where it was scrolled to, and keeps the keyboard.
function replace(text) {
  const label = (box) => box.getAttribute("aria-label");
  const scrolled = new Map([...live.querySelectorAll(".scroll")].map((box) => [label(box), box.scrollLeft]));
  const focused = live.contains(document.activeElement) ? label(document.activeElement) : null;
  live.innerHTML = text;
  for (const box of live.querySelectorAll(".scroll")) {
    box.scrollLeft = scrolled.get(label(box)) ?? 0;
    if (label(box) === focused) box.focus({ preventScroll: true });
  }
}

async function refresh() {
  if (isBusy()) return;
  try {
    const answer = await fetch(live.dataset.url, { headers: { Accept: "text/html" } });
    if (answer.status === 401) { location.reload(); return; }
    if (!answer.ok) throw new Error(String(answer.status));
    const text = await answer.text();
    if (!isBusy()) replace(text);
    offline.hidden = true;
  } catch {
    offline.hidden = false;
  }
}
if (live) setInterval(refresh, 5000);

// One act, once: a second click on the same button sends nothing.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
addEventListener("pageshow", () => document.querySelectorAll("form").forEach((form) => delete form.dataset.sent));

// A file may be dropped anywhere on the page that verifies files.
const file = document.querySelector(".drop input[type=file]");
if (file) {
  const zone = file.closest(".drop");
  addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  addEventListener("dragleave", () => zone.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer.files.length) file.files = event.dataTransfer.files;
  });
}
