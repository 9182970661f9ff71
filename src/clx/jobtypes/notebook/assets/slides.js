// Shows the page one slide at a time. No library, no network; on file: windows can only talk by postMessage.
(() => {
  "use strict";
  const root = document.documentElement, main = document.querySelector("main"), button = document.querySelector(".present");
  if (!main || !button) return;
  const words = JSON.parse(button.dataset.words);
  const isSpeaker = new URLSearchParams(location.search).has("speaker");
  const SMALLEST = 0.6;
  let slides = null, at = 0, typed = "", peer = null, since = Date.now(), last = null, quiet = 0;
  const ui = {};

  const make = (tag, name, parent, text) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  };
  const isLeftward = () => getComputedStyle(root).direction === "rtl"; // the next slide is to the left
  const showing = () => root.dataset.view !== "page";
  const hasNotes = element => element.matches(".notes, .private");
  const isSeen = section => [...section.children].some(each => !hasNotes(each) && (each.textContent.trim() || each.querySelector("img, svg, video, canvas, iframe, object, input, math") || each.matches(".empty, .code")));
  const steps = slide => [...slide.querySelectorAll(".fragment")].filter(each => !each.closest(".notes, .private"));

  // -- the page's sections as slides

  function split(section) {
    // a deck that names no slides: each big heading begins one
    for (const heading of [...section.querySelectorAll(":scope > .text > h1, :scope > .text > h2")]) {
      const cell = heading.parentElement, from = cell.parentElement;
      if (!heading.previousElementSibling && !cell.previousElementSibling) continue;
      const next = document.createElement("section");
      let start = cell;
      if (heading.previousElementSibling) {
        start = cell.cloneNode(false);
        start.removeAttribute("id");
        while (heading.nextSibling) start.prepend(cell.lastChild);
        start.prepend(heading);
        cell.after(start);
      }
      from.after(next);
      while (start) { const after = start.nextSibling; next.append(start); start = after; }
    }
  }

  function prepare() {
    if (slides) return;
    const title = main.querySelector(":scope > h1.title");
    if (title) { const first = make("section"); title.before(first); first.append(title); }
    if (!main.querySelector("section.slide, section.subslide")) main.querySelectorAll(":scope > section").forEach(split);
    for (const list of main.querySelectorAll(".incremental")) for (const item of list.querySelectorAll("li")) item.classList.add("fragment");
    slides = [...main.querySelectorAll(":scope > section")].filter(isSeen);
    slides.forEach((slide, n) => {
      slide.classList.add("one");
      slide.tabIndex = -1;
      slide.setAttribute("role", "group");
      slide.setAttribute("aria-roledescription", words.slide);
      slide.setAttribute("aria-label", `${n + 1} / ${slides.length}`);
    });
    if (slides.length) {
      slides.at(-1).classList.add("last");
      const first = slides[0];
      if (first.querySelector("h1") && !first.querySelector(".code, pre, table, li")) {
        first.classList.add("opening");
        make("p", "deck-title", first, ui.where.textContent);
      }
    }
  }

  // -- a slide that is taller or wider than the screen becomes smaller, and scrolls when that is not enough

  function fitCode(slide) {
    for (const pre of slide.querySelectorAll("pre")) {
      pre.style.fontSize = "";
      const style = getComputedStyle(pre), edge = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
      if (pre.scrollWidth > pre.clientWidth + 1 && style.whiteSpace === "pre") {
        const part = (pre.clientWidth - edge) / (pre.scrollWidth - edge);
        pre.style.fontSize = `calc(.92rem * ${Math.max(SMALLEST, Math.floor(100 * part) / 100)})`;
      }
    }
  }
  function textFits(slide, tooHigh) {
    let low = SMALLEST, high = 1;
    const size = part => { slide.style.setProperty("--fit", part); fitCode(slide); }; // smaller slides are wider
    for (let n = 0; n < 6; n++) {
      const middle = (low + high) / 2;
      size(middle);
      if (tooHigh()) high = middle; else low = middle;
    }
    size(Math.floor(low * 100) / 100);
  }
  function fit(slide) {
    slide.style.setProperty("--fit", 1);
    slide.style.removeProperty("--pictures");
    fitCode(slide);
    const tooHigh = () => slide.scrollHeight > slide.clientHeight + 1;
    // pictures give way first, then the text, then pictures once more
    const shrink = parts => parts.forEach(part => { if (tooHigh()) slide.style.setProperty("--pictures", part); });
    shrink([0.85, 0.7]);
    if (tooHigh()) textFits(slide, tooHigh);
    if (tooHigh()) {
      shrink([0.6, 0.5]);
      textFits(slide, tooHigh);
    }
    for (const each of [slide, ...slide.querySelectorAll("pre, .scroll, .html")]) {
      const scrolls = each.scrollHeight > each.clientHeight + 1 || each.scrollWidth > each.clientWidth + 1;
      if (each === slide) each.tabIndex = scrolls ? 0 : -1;
      else if (scrolls) each.tabIndex = 0;
      else each.removeAttribute("tabindex");
    }
  }

  function fitForPaper() {
    if (root.dataset.view !== "slides") return;
    root.classList.remove("overview");
    root.classList.add("measured");
    slides.forEach(slide => { slide.inert = false; fit(slide); });
    root.classList.remove("measured");
  }

  // -- going about

  function show(n, step, told) {
    at = Math.max(0, Math.min(n, slides.length - 1));
    const slide = slides[at], all = slide ? steps(slide) : [];
    const shown = step === undefined || step > all.length ? 0 : step < 0 ? all.length : step;
    all.forEach((each, n) => each.classList.toggle("shown", n < shown));
    slides.forEach((each, n) => {
      each.classList.toggle("now", n === at);
      each.classList.toggle("next", isSpeaker && n === at + 1);
      each.inert = isSpeaker ? n !== at : !root.classList.contains("overview") && n !== at;
    });
    if (slide) fit(slide);
    if (isSpeaker && slides[at + 1]) fit(slides[at + 1]);
    const place = `${at + 1} / ${slides.length}`;
    ui.place.textContent = place;
    ui.far.style.width = `${100 * (at + 1) / slides.length}%`;
    history.replaceState(null, "", `${location.pathname.split("/").pop()}${location.search}#/${at + 1}`);
    if (last !== at) {
      const heading = slide?.querySelector("h1, h2, h3, h4");
      ui.told.textContent = `${words.slide} ${place}${heading ? `: ${heading.textContent}` : ""}`;
      slide?.scrollTo(0, 0);
      if (!root.classList.contains("overview") && !told) slide?.focus({ preventScroll: true });
      last = at;
    }
    if (isSpeaker) say();
    if (!told) tell();
  }
  const shownSteps = () => steps(slides[at]).filter(each => each.classList.contains("shown")).length;
  function forth() {
    const shown = shownSteps();
    if (shown < steps(slides[at]).length) show(at, shown + 1);
    else if (at < slides.length - 1) show(at + 1, 0);
  }
  function back() {
    const shown = shownSteps();
    if (shown > 0) show(at, shown - 1);
    else if (at > 0) show(at - 1, -1);
  }
  function overview(on) {
    if (isSpeaker) return;
    root.classList.toggle("overview", on);
    if (on) slides.forEach(fit);
    show(at, shownSteps());
    if (on) { slides[at].tabIndex = 0; slides[at].focus(); slides[at].scrollIntoView({ block: "center" }); }
    else slides[at].focus({ preventScroll: true });
  }
  function help(on) {
    ui.help.hidden = !on;
    if (on) ui.close.focus(); else slides[at]?.focus({ preventScroll: true });
  }
  function black(on, told) {
    ui.black.hidden = !on || isSpeaker;
    ui.dark.hidden = !on || !isSpeaker;
    ui.isBlack = on;
    if (!told) tell();
  }
  function fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else root.requestFullscreen?.().catch(() => {});
  }

  // -- two windows: whichever is told to move tells the other

  function tell() { peer?.postMessage({ clx: "at", slide: at, step: shownSteps(), black: Boolean(ui.isBlack) }, "*"); }
  addEventListener("message", event => {
    const said = event.data;
    if (!said || !said.clx || !slides || !showing()) return;
    if (said.clx === "hello" && event.source && event.source.opener === window) { peer = event.source; return tell(); }
    if (said.clx !== "at" || event.source !== peer) return;
    if (said.slide !== at || said.step !== shownSteps()) show(said.slide, said.step, true);
    if (said.black !== Boolean(ui.isBlack)) black(said.black, true);
  });
  function speaker() {
    if (isSpeaker) return;
    peer = window.open(`${location.pathname.split("/").pop()}?speaker#/${at + 1}`, "clx-speaker", "width=1180,height=720");
    if (!peer) ui.told.textContent = words.blocked;
  }
  function say() {
    // a slide of notes or private cells alone is none on the wall: what it says belongs to the slide before it
    ui.said.replaceChildren();
    let section = at === 0 ? main.firstElementChild : slides[at];
    for (; section && (section !== slides[at + 1]); section = section.nextElementSibling) {
      for (const each of section.children) if (hasNotes(each)) ui.said.append(each.cloneNode(true));
    }
    ui.said.querySelectorAll("[id]").forEach(each => each.removeAttribute("id"));
    if (!ui.said.firstChild) make("p", "none", ui.said, words.nothing);
  }
  function tick() {
    const seconds = Math.floor((Date.now() - since) / 1000), two = n => String(n).padStart(2, "0");
    ui.clock.textContent = new Date().toLocaleTimeString(root.lang, { hour: "2-digit", minute: "2-digit" });
    ui.since.textContent = `${Math.floor(seconds / 60)}:${two(seconds % 60)}`;
    (window.opener || peer)?.postMessage({ clx: "hello" }, "*"); // the other one may have been loaded again
  }

  // -- what is around the slides

  const press = (parent, sign, label, does) => {
    const made = make("button", "", parent, sign);
    made.type = "button";
    made.title = label;
    if (sign !== label) made.setAttribute("aria-label", label);
    made.addEventListener("click", does);
    return made;
  };
  function furnish() {
    if (ui.deck) return;
    const deck = ui.deck = make("div", "deck", document.body);
    ui.black = make("div", "black", deck);
    ui.black.addEventListener("click", () => black(false));
    ui.far = make("div", "far", deck);
    const line = make("div", "line", deck);
    ui.where = make("span", "where", line, [...document.querySelectorAll(".crumbs span")].slice(0, 2).map(each => each.textContent).join(" · "));
    const keys = make("div", "keys", line);
    keys.setAttribute("role", "toolbar");
    keys.setAttribute("aria-label", words.show);
    press(keys, "‹", words.back, back);
    press(keys, "›", words.forth, forth);
    if (!isSpeaker) {
      press(keys, words.overview, words.overview, () => overview(!root.classList.contains("overview")));
      press(keys, words.speaker, words.speaker, speaker);
      press(keys, words.leave, words.leave, leave);
    }
    press(keys, "?", words.help, () => help(true));
    ui.place = make("span", "place", line);
    ui.told = make("p", "told", deck);
    ui.told.setAttribute("aria-live", "polite");
    ui.help = make("div", "help", deck);
    ui.help.setAttribute("role", "dialog");
    ui.help.setAttribute("aria-label", words.help);
    const list = make("dl", "", ui.help);
    for (const [key, what] of words.keys) { make("kbd", "", make("dt", "", list), key); make("dd", "", list, what); }
    ui.close = press(ui.help, words.close, words.close, () => help(false));
    ui.help.hidden = ui.black.hidden = true;
    ui.said = make("div", "said deck-only", deck);
    ui.said.tabIndex = 0;
    ui.said.setAttribute("role", "region");
    ui.said.setAttribute("aria-label", words.notes);
    const time = make("div", "time deck-only", deck);
    ui.clock = make("b", "", time);
    ui.since = make("span", "since", time);
    press(time, words.anew, words.anew, () => { since = Date.now(); tick(); });
    ui.dark = make("p", "", time, words.black);
    ui.dark.hidden = true;
  }

  function wanted() {
    const found = /^#\/(\d+)$/.exec(location.hash);
    return found ? Number(found[1]) - 1 : null;
  }
  function begin(n) {
    furnish();
    prepare();
    if (!slides.length) return;
    root.dataset.view = isSpeaker ? "speaker" : "slides";
    last = null;
    if (isSpeaker) { peer = window.opener; document.title = `${words.speaker}: ${document.title}`; tick(); setInterval(tick, 1000); }
    show(n, 0, isSpeaker);
    if (!isSpeaker) show(n, 0);
  }
  function leave() {
    if (isSpeaker) return;
    root.classList.remove("overview");
    slides.forEach(each => { each.inert = false; each.removeAttribute("tabindex"); each.style.removeProperty("--fit"); });
    main.querySelectorAll("pre").forEach(each => { each.style.fontSize = ""; each.removeAttribute("tabindex"); });
    root.dataset.view = "page";
    if (document.fullscreenElement) document.exitFullscreen();
    history.replaceState(null, "", location.pathname.split("/").pop() + location.search);
    slides[at]?.scrollIntoView();
    button.focus({ preventScroll: true });
  }
  function nearest() {
    const found = slides.findIndex(each => each.getBoundingClientRect().bottom > 80);
    return Math.max(0, found);
  }

  // -- keys, fingers, pointers

  function scrolls(by) {
    const slide = slides[at];
    return by > 0 ? slide.scrollTop + slide.clientHeight < slide.scrollHeight - 2 : slide.scrollTop > 1;
  }
  const KEYS = {
    ArrowRight: () => isLeftward() ? back() : forth(), ArrowLeft: () => isLeftward() ? forth() : back(), PageDown: forth, n: forth, PageUp: back, p: back,
    " ": event => event.shiftKey ? back() : forth(),
    ArrowDown: () => scrolls(1) ? slides[at].scrollBy(0, innerHeight / 3) : forth(),
    ArrowUp: () => scrolls(-1) ? slides[at].scrollBy(0, -innerHeight / 3) : back(),
    Home: () => show(0, 0), End: () => show(slides.length - 1, -1),
    o: () => overview(!root.classList.contains("overview")),
    Escape: () => ui.isBlack ? black(false) : overview(!root.classList.contains("overview")),
    f: fullScreen, b: () => black(!ui.isBlack), ".": () => black(!ui.isBlack), s: speaker, x: leave, "?": () => help(true),
  };
  addEventListener("keydown", event => {
    if (!showing() || event.ctrlKey || event.altKey || event.metaKey) return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (target.closest("input, textarea, select, [contenteditable]")) return;
    if (!ui.help.hidden) {
      if (event.key === "Escape" || event.key === "?") { event.preventDefault(); help(false); }
      else if (event.key === "Tab") event.preventDefault();
      return;
    }
    const isButton = target.closest("button, a, summary") !== null;
    if (isButton && (event.key === "Enter" || event.key === " ")) return;
    if (target.closest("pre, .scroll, .html, .said") && /^Arrow/.test(event.key)) return; // they scroll
    if (/^\d$/.test(event.key)) { typed = (typed + event.key).slice(-4); return; }
    if (event.key === "Enter") {
      event.preventDefault();
      const number = Number(typed);
      typed = "";
      if (number) show(number - 1, 0);
      if (root.classList.contains("overview")) overview(false);
      return;
    }
    typed = "";
    const does = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!does) return;
    event.preventDefault();
    does(event);
    if (root.classList.contains("overview")) slides[at].scrollIntoView({ block: "nearest" });
  });
  let touch = null;
  const scrollsSideways = target => [...document.querySelectorAll("pre, .scroll, .html")].some(each => each.contains(target) && each.scrollWidth > each.clientWidth + 1);
  addEventListener("touchstart", event => { touch = event.touches.length === 1 && !scrollsSideways(event.target) ? [event.touches[0].clientX, event.touches[0].clientY] : null; }, { passive: true });
  addEventListener("touchend", event => {
    if (!touch || !showing() || root.classList.contains("overview")) return;
    const end = event.changedTouches[0], x = end.clientX - touch[0], y = end.clientY - touch[1];
    touch = null;
    if (Math.abs(x) > 50 && Math.abs(x) > 1.5 * Math.abs(y)) { if ((x < 0) !== isLeftward()) forth(); else back(); }
  }, { passive: true });
  addEventListener("pointermove", event => {
    if (!showing() || !(event.movementX || event.movementY)) return; // browsers make moves of their own
    root.classList.add("moved");
    clearTimeout(quiet);
    quiet = setTimeout(() => root.classList.remove("moved"), 2500);
  }, { passive: true });
  main.addEventListener("click", event => {
    if (!root.classList.contains("overview")) return;
    const found = slides.indexOf(event.target.closest("section"));
    if (found >= 0) { event.preventDefault(); at = found; last = null; overview(false); }
  });
  addEventListener("resize", () => { if (showing()) show(at, shownSteps(), true); });
  addEventListener("beforeprint", fitForPaper);
  addEventListener("afterprint", () => { if (showing()) show(at, shownSteps(), true); });
  addEventListener("hashchange", () => {
    const n = wanted();
    if (n !== null) return showing() ? n !== at && show(n, 0) : begin(n);
    if (!showing()) return;
    const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const found = slides.findIndex(each => each.contains(named));
    show(found >= 0 ? found : at, 0);
  });
  button.hidden = false;
  button.addEventListener("click", () => { furnish(); prepare(); begin(nearest()); });
  const start = () => { if (root.dataset.view === "slides" || isSpeaker || wanted() !== null) begin(wanted() ?? 0); };
  if (document.readyState === "complete") start();
  else { start(); addEventListener("load", () => { if (showing()) show(at, shownSteps(), true); }); }
})();
