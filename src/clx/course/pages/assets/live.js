/* Only while `clx build --watch --serve` shows a page: reloads it when it was built anew, and shows what keeps it from that. */
(function () {
  "use strict";
  var me = document.currentScript, source = null, box = null, key = "clx scroll " + location.pathname;
  var query = "?page=" + encodeURIComponent(location.pathname) + "&stamp=" + encodeURIComponent(me.dataset.stamp);

  function restore() {
    var kept = null;
    try { kept = JSON.parse(sessionStorage.getItem(key)); sessionStorage.removeItem(key); } catch (error) { /* begins at the top */ }
    if (kept) { scrollTo(kept[0], kept[1]); addEventListener("load", function () { scrollTo(kept[0], kept[1]); }); }
  }
  function reload() {
    try { sessionStorage.setItem(key, JSON.stringify([scrollX, scrollY])); } catch (error) { /* the browser may know */ }
    stop();
    location.reload();
  }
  function line(name, text, into) {
    var made = document.createElement(name);
    made.textContent = text;
    into.append(made);
  }
  function show(errors) {
    if (!errors.length) { if (box) { box.remove(); box = null; } return; }
    if (!box) {
      box = document.createElement("div");
      box.id = "clx-errors";
      box.attachShadow({ mode: "open" });
      document.body.append(box);
    }
    var style = document.createElement("style"), list = document.createElement("div");
    style.textContent = ":host { all: initial; position: fixed; inset: auto 1rem 1rem 1rem; z-index: 2147483647; }" +
      "div { max-height: 45vh; overflow: auto; padding: .8rem 1.1rem; border-radius: 9px; background: #5c1015; color: #fff; box-shadow: 0 8px 30px rgb(0 0 0 / .35); font: 15px/1.5 system-ui, sans-serif; }" +
      "p { margin: .2rem 0; white-space: pre-wrap; overflow-wrap: anywhere; } p + b, small + b { margin-top: .6rem; } b { display: block; font: 600 13px/1.5 ui-monospace, monospace; } small { display: block; opacity: .9; white-space: pre-wrap; }";
    list.setAttribute("role", "alert");
    list.tabIndex = 0;
    errors.forEach(function (each) {
      if (each.where) { line("b", each.where, list); }
      line("p", each.message, list);
      if (each.next_step) { line("small", each.next_step, list); }
    });
    box.shadowRoot.replaceChildren(style, list);
  }
  function start() {
    if (source) { return; }
    source = new EventSource("/.clx/events" + query);
    source.addEventListener("reload", reload);
    source.addEventListener("errors", function (event) { show(JSON.parse(event.data)); });
  }
  function stop() {
    if (source) { source.close(); source = null; }
  }
  restore();
  /* a browser has few connections to one server: pages that nobody looks at give theirs back */
  document.addEventListener("visibilitychange", function () { if (document.hidden) { stop(); } else { start(); } });
  if (!document.hidden) { start(); }
})();
