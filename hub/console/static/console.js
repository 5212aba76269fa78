// Refreshes the overview every five seconds, unless somebody is typing in it.
"use strict";
const live = document.getElementById("live");
async function refresh() {
  if (document.hidden || (live.contains(document.activeElement) && document.activeElement.tagName === "INPUT")) return;
  if ([...live.querySelectorAll("input:not([type=hidden])")].some((input) => input.value)) return;
  const answer = await fetch(live.dataset.url, { headers: { Accept: "text/html" }, redirect: "manual" });
  if (answer.ok) live.innerHTML = await answer.text();
  else if (answer.type === "opaqueredirect") location.reload();
}
if (live) setInterval(() => refresh().catch(() => {}), 5000);
