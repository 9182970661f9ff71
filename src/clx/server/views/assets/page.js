"use strict";
// Keeps what is shown up to date, and does what is asked for. Text is only ever set as text; what the server has drawn
// is put in place of what was there by morphing, so that focus, choices and what is open stay.
(() => {
  const $ = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const csrf = document.querySelector('meta[name="csrf-token"]').content;
  const live = $("live");
  const say = (text) => { if (live.textContent !== text) live.textContent = text; };
  let toldUntil = 0;
  const tell = (text) => { $("told").textContent = text; toldUntil = Date.now() + 8000; };

  // -- times ---------------------------------------------------------------------------------------
  const length = (ms) => {
    const s = Math.max(0, Math.round(ms / 1000));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
    return `${Math.floor(s / 86400)} d`;
  };
  const tick = () => {
    const now = Date.now();
    all("time[data-at]").forEach((each) => {
      const at = Number(each.dataset.at);
      if (!each.title) each.title = each.textContent;
      const text = at > now ? `in ${length(at - now)}` : `${length(now - at)} ago`;
      if (each.textContent !== text) each.textContent = text;
    });
    all("[data-since]").forEach((each) => {
      const text = length(now - Number(each.dataset.since));
      if (each.textContent !== text) each.textContent = text;
    });
    if (toldUntil && now > toldUntil) { $("told").textContent = ""; toldUntil = 0; }
  };

  // -- live ----------------------------------------------------------------------------------------
  const FIELD = "input:not([type=checkbox]), select";
  let stream = null;
  let isBehind = false;
  let version = document.body.dataset.version;
  const show = (event) => {
    const told = JSON.parse(event.data);
    const main = $("main");
    if (main.contains(document.activeElement) && document.activeElement.matches(FIELD)) { isBehind = true; return; }
    version = told.version;
    Idiomorph.morph(main, told.main, { callbacks: {
      // what the reader has chosen and opened is his; what a log has grown to is not in the drawing
      beforeAttributeUpdated: (name, node) => !(name === "checked" || name === "disabled" || (name === "open" && node.matches("details")) || (name === "value" && node.closest("form")) || (name === "class" && node.matches("tr.at"))),
      beforeNodeMorphed: (from, to) => !(from.nodeType === 1 && from.dataset.log && to.nodeType === 1 && from.dataset.log === to.dataset.log),
    } });
    tick();
    choose();
    follow();
  };
  const listen = () => {
    if (stream || document.hidden || !$("main") || !live.textContent) return;
    const view = location.pathname + location.search;
    stream = new EventSource(`/live?view=${encodeURIComponent(view)}&seen=${encodeURIComponent(version)}`);
    stream.addEventListener("open", () => say("Live"));
    stream.addEventListener("view", show);
    stream.addEventListener("error", () => {
      say("Not connected");
      if (stream && stream.readyState === EventSource.CLOSED) { leave(); setTimeout(listen, 5000); }
    });
  };
  const leave = () => { if (stream) { stream.close(); stream = null; } };
  document.addEventListener("focusout", (event) => {  // who has written gets what came meanwhile
    if (isBehind && event.target.matches(FIELD)) { isBehind = false; leave(); setTimeout(listen, 0); }
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { leave(); say("Paused"); } else { listen(); follow(); }
  });

  // -- changes -------------------------------------------------------------------------------------
  const ask = (text) => new Promise((done) => {
    $("ask-text").textContent = text;
    $("ask").returnValue = "no";
    $("ask").addEventListener("close", () => done($("ask").returnValue === "yes"), { once: true });
    $("ask").showModal();
    $("ask-no").focus();
  });
  const post = async (address, body) => {
    let answer;
    try {
      answer = await fetch(address, { method: "POST", headers: { "content-type": "application/json", "x-csrf-token": csrf }, body: JSON.stringify(body) });
    } catch { tell("The server does not answer."); return null; }
    const told = await answer.json().catch(() => ({}));
    if (answer.ok) return told;
    tell(`${told.error || answer.status} ${told.next_step || ""}`);
    return null;
  };
  const bulk = async (button) => {
    const body = JSON.parse(button.dataset.bulk);
    let changed = 0;
    let left = 0;
    button.disabled = true;
    for (;;) {
      const told = await post(button.dataset.to || "/jobs/bulk", body);
      if (!told) break;
      changed += told.changed;
      left += told.left;
      tell(`${changed} changed${left ? `, ${left} left as they were` : ""}${told.before ? " …" : "."}`);
      if (!told.before) break;
      body.before = told.before;
    }
    button.disabled = false;
  };
  const act = async (button) => {
    if (button.dataset.confirm && !await ask(button.dataset.confirm)) return;
    if (button.dataset.bulk) { await bulk(button); return; }
    const body = { ...JSON.parse(button.dataset.body || "{}"), ...(button.dataset.chosen ? { ids: chosen() } : {}) };
    const told = await post(button.dataset.post || button.dataset.chosen, body);
    if (!told) return;
    if (button.dataset.chosen) all(".choose:checked").forEach((box) => { box.checked = false; });
    if (button.dataset.then && told.changed) { location.assign(button.dataset.then); return; }
    if (Number.isInteger(told.changed)) tell(`Done: ${told.changed} of ${body.ids.length}.`);
    else tell(Array.isArray(told.ids) ? `Done: ${told.ids.length} of ${body.ids.length}.` : "Done.");
    choose();
  };
  const chosen = () => all(".choose:checked").map((box) => Number(box.value));
  const choose = () => all("[data-chosen]").forEach((button) => { button.disabled = !document.querySelector(".choose:checked"); });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-post], [data-chosen], [data-bulk]");
    if (button) act(button);
    if (event.target.closest("[data-keys]")) $("keys").showModal();
  });
  document.addEventListener("change", (event) => { if (event.target.matches(".choose")) choose(); });
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    const search = form.matches("[role=search]") && form.elements.text.value.trim().match(/^#(\d{1,19})$/);
    if (search) { event.preventDefault(); location.assign(`/jobs/${search[1]}`); return; }
    const work = form.matches("[role=search]") && form.elements.text.value.trim().match(/^[0-9a-f]{24}$/);
    if (work) { event.preventDefault(); location.assign(`/works/${work[0]}`); return; }
    if (!form.dataset.backfill) return;
    event.preventDefault();
    const moment = (name) => Date.parse(`${form.elements[name].value}Z`);
    const told = await post("/api/v1/schedules/backfill", {
      name: form.dataset.backfill, start: moment("start"), end: moment("end"), only_missing: form.elements.only_missing.checked, at_most: 1000,
    });
    if (told) tell(`${told.fires.length} queued, ${told.there} there already, ${told.left} left.`);
  });

  // -- logs ----------------------------------------------------------------------------------------
  const followed = new Set();
  const follow = () => all("[data-log]").forEach((each) => { if (!followed.has(each)) { followed.add(each); read(each, 0); } });
  const read = async (element, at) => {
    if (!element.isConnected || document.hidden) { followed.delete(element); if (element.isConnected) element.textContent = ""; return; }
    let next = at;
    try {
      const answer = await fetch(`${element.dataset.log}&at=${at}`);
      if (!answer.ok) throw new Error();
      const text = await answer.text();
      const isAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 20;
      if (text) element.append(text);
      if (isAtEnd) element.scrollTop = element.scrollHeight;
      next = Number(answer.headers.get("x-log-at"));
      if (answer.headers.get("x-log-over") === "1") return;
    } catch { /* tried again */ }
    setTimeout(() => read(element, next), next === at ? 1000 : 250);
  };

  // -- keys ----------------------------------------------------------------------------------------
  let after = 0;
  const rows = () => all("table.jobs tbody tr, main table tbody tr").filter((row, index, found) => row.querySelector("a") && found.indexOf(row) === index);
  const go = (by) => {
    const found = rows();
    const here = found.findIndex((row) => row.classList.contains("at"));
    const next = found[Math.max(0, Math.min(found.length - 1, here + by))];
    if (!next) return;
    found.forEach((row) => row.classList.remove("at"));
    next.classList.add("at");
    next.querySelector("a").focus();
    next.scrollIntoView({ block: "nearest" });
  };
  const press = (selector) => {
    const found = document.querySelector(selector);
    if (found && !found.disabled) found.click();
    return Boolean(found);
  };
  const keys = {
    "/": () => { $("search").focus(); $("search").select(); },
    j: () => go(1),
    k: () => go(-1),
    x: () => press("tr.at .choose"),
    r: () => press('[data-short="r"]'),
    c: () => press('[data-short="c"]'),
    n: () => press('a[rel="next"]'),
    p: () => press('a[rel="first"]'),
    "?": () => $("keys").showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (event.target.matches("input:not([type=checkbox]), textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (Date.now() - after < 1500 && press(`[data-key="${CSS.escape(event.key)}"]`)) { after = 0; event.preventDefault(); return; }
    after = event.key === "g" ? Date.now() : 0;
    if (Object.hasOwn(keys, event.key)) { event.preventDefault(); keys[event.key](); }
  });

  tick();
  setInterval(tick, 1000);
  choose();
  follow();
  listen();
})();
