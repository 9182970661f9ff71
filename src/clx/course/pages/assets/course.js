/* The way through a course and the search over it, drawn into pages that lie beside this file. */
(function (course) {
  "use strict";
  var words = course.words, base = new URL(".", document.currentScript.src), doc = document;

  function el(name, attributes, inside) {
    var made = doc.createElement(name);
    Object.keys(attributes || {}).forEach(function (key) { made.setAttribute(key, attributes[key]); });
    [].concat(inside || []).forEach(function (each) { made.append(each); });
    return made;
  }
  function plain(url) {
    var path = url.pathname;
    try { path = decodeURIComponent(path); } catch (error) { /* as it is */ }
    return path.normalize("NFC");
  }
  function address(link) { return new URL(link, base); }

  var here = plain(location), decks = course.decks;
  var at = decks.findIndex(function (deck) { return plain(address(deck[1])) === here; });
  var isIndex = plain(address("index.html")) === here || here === plain(base);

  /* What is new to this reader: what each deck said when it was last looked at. */
  var key = "clx course " + plain(base), seen = null;
  try { seen = JSON.parse(localStorage.getItem(key)); } catch (error) { /* nothing is remembered */ }
  var isFirst = !seen || typeof seen !== "object";
  if (isFirst) { seen = {}; decks.forEach(function (deck) { seen[deck[1]] = deck[3]; }); }
  if (at >= 0) { seen[decks[at][1]] = decks[at][3]; }
  try { localStorage.setItem(key, JSON.stringify(seen)); } catch (error) { /* private browsing */ }
  function markNews() {
    var by = {};
    decks.forEach(function (deck) { by[plain(address(deck[1]))] = deck; });
    doc.querySelectorAll(".decks .title a").forEach(function (link) {
      var deck = by[plain(new URL(link.href))];
      if (!deck || seen[deck[1]] === deck[3]) { return; }
      link.after(" ", el("span", { "class": "news" }, deck[1] in seen ? words.changed : words["new"]));
    });
  }

  /* The way. */
  function way() {
    var made = el("div", { "class": "way", role: "navigation", "aria-label": words.way });
    [["prev", at - 1, words.previous], ["next", at + 1, words.next]].forEach(function (each) {
      var deck = decks[each[1]];
      if (!deck) { return; }
      made.append(el("a", { rel: each[0], href: address(deck[1]).href }, [el("small", {}, each[2]), deck[2]]));
      doc.head.append(el("link", { rel: each[0], href: address(deck[1]).href }));
    });
    if (made.firstChild) { doc.querySelector("main").append(made); }
  }
  function go(rel) {
    var link = doc.querySelector('a[rel="' + rel + '"][href]');
    if (link) { link.click(); }
  }

  /* The search: every word has to stand under one heading. */
  function folded(text) {
    return text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase().replace(/ß/g, "ss");
  }
  function spellings(word) {
    var one = folded(word), other = one.replace(/([aou])e/g, "$1");
    return one === other ? [one] : [one, other];
  }
  var pages = null, waiting = null;
  window.clxSearch = function (found) {
    pages = [];
    decks.forEach(function (deck) {
      (found[deck[1]] || ["", []])[1].forEach(function (section, number) {
        pages.push({ deck: deck, anchor: section[0], heading: section[1], text: section[2],
          h: folded(section[1]), t: folded(section[2]), d: number ? "" : folded(deck[2]) });
      });
    });
    if (waiting) { waiting(); }
  };
  function load(then, fail) {
    if (pages) { then(); return; }
    waiting = then;
    if (doc.querySelector("script[data-clx-search]")) { return; }
    var script = el("script", { src: address("search.js").href, "data-clx-search": "" });
    script.onerror = function () { script.remove(); fail(); };
    doc.head.append(script);
  }
  function standing(text, word) {
    /* 3 where a word is, 2 where one begins, 1 inside of one, 0 nowhere */
    var best = 0, from = text.indexOf(word);
    for (var tries = 0; from >= 0 && best < 3 && tries < 20; tries++, from = text.indexOf(word, from + 1)) {
      var opens = !from || !/[\p{L}\p{N}]/u.test(text[from - 1]);
      var closes = !/[\p{L}\p{N}]/u.test(text[from + word.length] || " ");
      best = Math.max(best, 1 + opens + (opens && closes));
    }
    return best;
  }
  function find(query) {
    var asked = query.split(/\s+/).filter(Boolean).map(spellings), hits = [];
    if (!asked.length) { return hits; }
    pages.forEach(function (page) {
      var score = 0;
      var all = asked.every(function (ways) {
        var best = 0;
        ways.forEach(function (word) {
          best = Math.max(best, 12 * standing(page.d, word), 10 * standing(page.h, word), standing(page.t, word));
        });
        score += best;
        return best;
      });
      if (all) { hits.push([score, hits.length, page]); }
    });
    hits.sort(function (a, b) { return b[0] - a[0] || a[1] - b[1]; });
    return hits.slice(0, 30).map(function (hit) { return hit[2]; });
  }
  function marked(text, query, around) {
    /* the text with what was asked for in <mark>; folding may change lengths, so it goes character by character */
    var flat = "", origin = [], index = 0;
    Array.from(text).forEach(function (character) {
      var many = folded(character);
      for (var i = 0; i < many.length; i++) { origin.push(index); }
      flat += many;
      index += character.length;
    });
    origin.push(text.length);
    var spans = [];
    query.split(/\s+/).filter(Boolean).forEach(function (word) {
      spellings(word).some(function (each) {
        var from = flat.indexOf(each);
        if (from < 0) { return false; }
        spans.push([origin[from], Math.max(origin[from + each.length], origin[from] + 1)]);
        return true;
      });
    });
    spans.sort(function (a, b) { return a[0] - b[0]; });
    var start = around && spans.length ? Math.max(0, spans[0][0] - 40) : 0;
    var end = around ? Math.min(text.length, start + 160) : text.length, made = doc.createDocumentFragment();
    if (start) { made.append("… "); }
    spans.forEach(function (span) {
      if (span[0] < start || span[1] > end) { return; }
      made.append(text.slice(start, span[0]), el("mark", {}, text.slice(span[0], span[1])));
      start = span[1];
    });
    made.append(text.slice(start, end));
    if (end < text.length) { made.append(" …"); }
    return made;
  }
  function box() {
    var input = el("input", { type: "search", role: "combobox", placeholder: words.search + "  /", "aria-label": words.search,
      "aria-expanded": "false", "aria-controls": "clx-hits", "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false" });
    var list = el("ul", { id: "clx-hits", "class": "hits", role: "listbox", "aria-label": words.found, hidden: "" });
    var say = el("p", { "class": "hits say", role: "status", hidden: "" }), found = [], active = -1;
    function close() { list.hidden = say.hidden = true; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); }
    function tell(text) { close(); say.textContent = text; say.hidden = false; }
    function select(number) {
      active = (number + found.length) % found.length;
      Array.from(list.children).forEach(function (item, each) { item.setAttribute("aria-selected", String(each === active)); });
      input.setAttribute("aria-activedescendant", "clx-hit-" + active);
      list.children[active].scrollIntoView({ block: "nearest" });
    }
    function open(number) {
      var page = found[number], url = address(page.deck[1]);
      url.hash = page.anchor;
      close();
      location.href = url.href;
    }
    function show() {
      var query = input.value.trim();
      if (!query) { close(); return; }
      load(function () {
        query = input.value.trim();
        found = find(query);
        if (!query) { close(); return; }
        if (!found.length) { tell(words.nothing); return; }
        say.hidden = true;
        list.replaceChildren.apply(list, found.map(function (page, number) {
          var head = el("b", {}, page.deck[2]);
          if (page.heading && page.heading !== page.deck[2].replace(/^\d+ /, "")) { head.append(" › ", marked(page.heading, query)); }
          var item = el("li", { id: "clx-hit-" + number, role: "option", "aria-selected": "false" }, [head, el("small", {}, marked(page.text, query, true))]);
          item.addEventListener("mousedown", function (event) { event.preventDefault(); open(number); });
          return item;
        }));
        list.hidden = false;
        input.setAttribute("aria-expanded", "true");
        select(0);
      }, function () { tell(words.unsearchable); });
    }
    input.addEventListener("input", show);
    input.addEventListener("focus", show);
    input.addEventListener("blur", close);
    input.addEventListener("keydown", function (event) {
      if (event.key === "Escape") { if (list.hidden && say.hidden) { input.blur(); } else { close(); } event.preventDefault(); }
      if (list.hidden) { return; }
      if (event.key === "ArrowDown") { select(active + 1); event.preventDefault(); }
      if (event.key === "ArrowUp") { select(active - 1); event.preventDefault(); }
      if (event.key === "Enter") { open(active); event.preventDefault(); }
    });
    var made = el("div", { "class": "find", role: "search" }, [input, list, say]);
    var kind = doc.querySelector("header .present") || doc.querySelector("header .kind");
    if (kind) { kind.before(made); } else { doc.querySelector("header").append(made); }
    return input;
  }

  var style = el("style", {}, "@style@");
  doc.head.append(style);
  if (isIndex) { markNews(); } else if (at >= 0) { way(); }
  var input = box();
  doc.addEventListener("keydown", function (event) {
    var on = event.target;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || on.isContentEditable) { return; }
    if (/^(input|textarea|select)$/i.test(on.tagName) || !input.offsetParent) { return; }
    if (event.key === "/") { input.focus(); input.select(); event.preventDefault(); }
    else if (event.key === "p") { go("prev"); }
    else if (event.key === "n") { go("next"); }
    else if (event.key === "h" && !isIndex) { go("up"); }
  });
})
