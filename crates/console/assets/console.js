// Brings what is new without a reload. Everything else works without it.
"use strict";
(() => {
  const state = document.getElementById("live");
  const regions = () => document.querySelectorAll("[data-live]");

  // Times as the reader's own clock says them; the title keeps UTC.
  const local = (root) => {
    for (const time of root.querySelectorAll("time[datetime]:not([data-age])")) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.getTime())) {
        time.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
      }
    }
  };

  // What somebody writes or chooses in, has opened to write in, or marks to copy is left alone; and whatever is being tapped.
  let pressed = false;
  for (const [event, down] of [["pointerdown", true], ["pointerup", false], ["pointercancel", false]]) {
    document.addEventListener(event, () => { pressed = down; }, { capture: true, passive: true });
  }
  const written = (field) => field.matches("[type=radio], [type=checkbox]") ? field.checked !== field.defaultChecked
    : field.matches("select") ? field.selectedIndex !== Math.max(0, [...field.options].findIndex((option) => option.defaultSelected))
      : field.value !== field.defaultValue;
  const inUse = (region) => {
    const at = document.activeElement;
    if (at && region.contains(at) && at.matches("input:not([type=hidden]), textarea, select")) return true;
    if (region.querySelector("details[open] > form")) return true;
    const marked = document.getSelection();
    if (marked && !marked.isCollapsed && marked.containsNode(region, true)) return true;
    return [...region.querySelectorAll("textarea, select, input:not([type=hidden])")].some(written);
  };

  // What is folded out stays so, and the number that makes a form one record however often it is sent is the page's.
  const keep = (region, next) => {
    for (const old of region.querySelectorAll("details[id]")) {
      const fresh = next.querySelector(`#${CSS.escape(old.id)}`);
      if (fresh) fresh.open = old.open;
    }
    const request = region.querySelector("input[name=request]");
    if (request) for (const field of next.querySelectorAll("input[name=request]")) field.setAttribute("value", request.value);
  };

  // For whoever listens to the page.
  const announce = (fresh) => {
    const said = (root) => root.querySelector("[data-announce]")?.textContent;
    const place = document.getElementById("announce");
    if (place && said(fresh) && said(fresh) !== said(document)) place.textContent = said(fresh);
  };

  const put = (fresh) => {
    announce(fresh);
    document.title = fresh.title;
    for (const region of regions()) {
      const next = region.id && fresh.getElementById(region.id);
      if (!next || inUse(region)) continue;
      local(next);
      keep(region, next);
      if (next.isEqualNode(region)) continue;
      const focused = region.contains(document.activeElement) ? document.activeElement : null;
      const id = focused && focused.id;
      const link = focused && focused.getAttribute("href");
      const fold = focused && focused.matches("summary") && focused.parentElement.id;
      region.replaceWith(next);
      const again = id ? document.getElementById(id) : fold ? document.querySelector(`#${CSS.escape(fold)} > summary`) : link ? next.querySelector(`a[href="${CSS.escape(link)}"]`) : null;
      // What has gone behind something more urgent meanwhile: where it can be unfolded.
      const behind = again && !again.matches("summary") && again.closest("details:not([open])");
      if (again) (behind ? behind.querySelector("summary") : again).focus();
    }
  };

  let reading = false;
  let again = false;
  const read = async () => {
    if (reading) { again = true; return; }
    if (document.hidden || pressed) { again = true; return; }
    reading = true;
    again = false;
    try {
      const answer = await fetch(location.href, { cache: "no-store", credentials: "same-origin" });
      // Signed out meanwhile: the whole page says so.
      if (answer.redirected) { location.reload(); return; }
      if (answer.ok) put(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch (_) {
      // The next event or interval tries again.
    } finally {
      reading = false;
      setTimeout(() => { if (again) read(); }, 1000);
    }
  };

  const say = (on) => {
    if (!state) return;
    state.dataset.state = on ? "on" : "off";
    state.textContent = on ? state.dataset.on : state.dataset.off;
  };

  // On a desk: j and k go through what can be seen of the alerts, Enter opens one, or unfolds the others of its device.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
    const step = { j: 1, k: -1 }[event.key];
    const all = [...document.querySelectorAll(".alerts .what, .alerts summary")];
    const links = all.filter((it) => it.matches("summary") || !it.closest("details:not([open])"));
    if (!step || !links.length) return;
    const at = links.indexOf(document.activeElement);
    links[at < 0 ? 0 : Math.min(links.length - 1, Math.max(0, at + step))].focus();
  });

  document.addEventListener("click", (event) => { if (event.target.closest("[data-print]")) window.print(); });
  local(document);
  if (!regions().length) return;
  document.addEventListener("visibilitychange", () => { if (!document.hidden) read(); });
  // Ages go on, and where nothing is told this is how news come; a region may ask more often: readings are no news to be told.
  const often = [...regions()].map((region) => Number(region.dataset.every) * 1000 || 15000);
  setInterval(read, Math.min(...often));
  const listen = () => {
    const source = new EventSource("/console/live");
    let begun = false;
    source.addEventListener("live", () => { say(true); if (begun) read(); begun = true; });
    source.addEventListener("changed", read);
    source.onerror = () => {
      say(false);
      // Refused: as many pages are live as may be. The interval goes on, and later there may be room.
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 30000);
    };
  };
  listen();
})();
