// MathJax 3 for CLX: `typeset` takes the formulas of a page and gives them as SVG with MathML for screen readers.
// Bundled by make.sh; runs in an engine that has neither files nor a network.
import { mathjax } from "mathjax-full/ts/mathjax.ts";
import { TeX } from "mathjax-full/ts/input/tex.ts";
import { SVG } from "mathjax-full/ts/output/svg.ts";
import { liteAdaptor } from "mathjax-full/ts/adaptors/liteAdaptor.ts";
import { LiteParser } from "mathjax-full/ts/adaptors/lite/Parser.ts";
import { RegisterHTMLHandler } from "mathjax-full/ts/handlers/html.ts";
import { SerializedMmlVisitor } from "mathjax-full/ts/core/MmlTree/SerializedMmlVisitor.ts";
import { HTMLMathItem } from "mathjax-full/ts/handlers/html/HTMLMathItem.ts";
import { STATE } from "mathjax-full/ts/core/MathItem.ts";
import "mathjax-full/ts/input/tex/base/BaseConfiguration.ts";
import "mathjax-full/ts/input/tex/ams/AmsConfiguration.ts";
import "mathjax-full/ts/input/tex/amscd/AmsCdConfiguration.ts";
import "mathjax-full/ts/input/tex/bbox/BboxConfiguration.ts";
import "mathjax-full/ts/input/tex/boldsymbol/BoldsymbolConfiguration.ts";
import "mathjax-full/ts/input/tex/braket/BraketConfiguration.ts";
import "mathjax-full/ts/input/tex/bussproofs/BussproofsConfiguration.ts";
import "mathjax-full/ts/input/tex/cancel/CancelConfiguration.ts";
import "mathjax-full/ts/input/tex/cases/CasesConfiguration.ts";
import "mathjax-full/ts/input/tex/centernot/CenternotConfiguration.ts";
import "mathjax-full/ts/input/tex/color/ColorConfiguration.ts";
import "mathjax-full/ts/input/tex/colortbl/ColortblConfiguration.ts";
import "mathjax-full/ts/input/tex/empheq/EmpheqConfiguration.ts";
import "mathjax-full/ts/input/tex/enclose/EncloseConfiguration.ts";
import "mathjax-full/ts/input/tex/extpfeil/ExtpfeilConfiguration.ts";
import "mathjax-full/ts/input/tex/gensymb/GensymbConfiguration.ts";
import "mathjax-full/ts/input/tex/html/HtmlConfiguration.ts";
import "mathjax-full/ts/input/tex/mathtools/MathtoolsConfiguration.ts";
import "mathjax-full/ts/input/tex/mhchem/MhchemConfiguration.ts";
import "mathjax-full/ts/input/tex/newcommand/NewcommandConfiguration.ts";
import "mathjax-full/ts/input/tex/textcomp/TextcompConfiguration.ts";
import "mathjax-full/ts/input/tex/textmacros/TextMacrosConfiguration.ts";
import "mathjax-full/ts/input/tex/unicode/UnicodeConfiguration.ts";
import "mathjax-full/ts/input/tex/upgreek/UpgreekConfiguration.ts";
import "mathjax-full/ts/input/tex/verb/VerbConfiguration.ts";
import { TeXFont } from "mathjax-full/ts/output/svg/fonts/tex.ts";
import { MapHandler } from "mathjax-full/ts/input/tex/MapHandler.ts";
import { addAccented, FIRST_ACCENTED, LAST_ACCENTED } from "./accented.js";

// Not here: physics (gives known macros other meanings), action (needs a program in the page), require and autoload
// (fetch files), noerrors and noundefined (what cannot be read is to be told of).
const PACKAGES = [
  "base", "ams", "newcommand", "amscd", "bbox", "boldsymbol", "braket", "bussproofs", "cancel", "cases", "centernot",
  "color", "colortbl", "empheq", "enclose", "extpfeil", "gensymb", "html", "mathtools", "mhchem", "textcomp",
  "textmacros", "unicode", "upgreek", "verb",
];
const METRICS = [16, 8, 560, 1000000, 1]; // em, ex, width of the text: only multline asks for it, sizes are written in ex
const HARMLESS = /^(?:https?:|mailto:|[^:]*(?:[/?#]|$))/i;
const LOADS = /url\s*\(|image(?:-set)?\s*\(|@import|expression\s*\(|\\|position\s*:/i;
const PREFIX = "tex-";

// Text in a formula is text, as in Jupyter: `\text{max_iter, R&D, 50%}`. The package textmacros would refuse it.
for (const name of ["_", "^", "&", "#", "%"]) MapHandler.getMap("text-special").map.delete(name);

// Addresses and colours are the author's own text.
LiteParser.CDATA_ATTR = {};
LiteParser.prototype.protectAttribute = (text) =>
  String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");

const adaptor = liteAdaptor();
RegisterHTMLHandler(adaptor);
const mathml = new SerializedMmlVisitor();

function fail(_jax, error) {
  throw error;
}

// All pages share one font: to make it takes longer than a page, and no page changes it. Letters with accents are made
// when the first is asked for.
const font = new TeXFont();
font.getChar = (variant, code) => {
  if (code >= FIRST_ACCENTED && code <= LAST_ACCENTED) {
    delete font.getChar;
    addAccented(font);
  }
  return TeXFont.prototype.getChar.call(font, variant, code);
};

function begin() {
  const tex = new TeX({ packages: PACKAGES, tags: "ams", useLabelIds: true, formatError: fail, maxMacros: 2000 });
  const svg = new SVG({ fontCache: "global", internalSpeechTitles: false, font });
  const doc = mathjax.document("", { InputJax: tex, OutputJax: svg });
  tex.postFilters.add(({ data }) => data.root && check(data.root), 100);
  return { tex, svg, doc };
}

// Addresses and styles of a formula that could run or fetch something; ids of its own get a room of their own.
function check(root) {
  root.walkTree((node) => {
    if (!node.attributes) return;
    const own = node.attributes.getAllAttributes();
    if (own.href && !HARMLESS.test(own.href)) throw new Error("\\href to an address of this kind");
    if (own.style && LOADS.test(own.style)) throw new Error("\\style of this kind");
    if (own.id && !own.id.startsWith("mjx-eqn:")) node.attributes.set("id", PREFIX + own.id);
  });
}

function said(error) {
  if (error instanceof RangeError) return "it is nested too deeply";
  return String(error.message || error);
}

function compile(page, [source, display]) {
  const item = new HTMLMathItem(source, page.tex, display);
  item.setMetrics(...METRICS);
  const tags = page.tex.parseOptions.tags;
  tags.redo = false;
  item.root = page.tex.compile(item, page.doc);
  item.state(STATE.COMPILED);
  return { item, open: tags.redo };
}

function spoken(root) {
  const text = mathml.visitTree(root);
  const kept = text.replace(/(<[a-z]+)((?:\s+[\w:-]+="[^"]*")*)/g, (_all, name, attributes) =>
    name + attributes.replace(/\s+(?:data-[\w-]+|id|href|class|style)="[^"]*"/g, ""));
  const plain = kept.replace(/&#x([0-9a-f]+);/gi, (_all, code) => String.fromCodePoint(parseInt(code, 16)));
  return plain.replace(/\n\s*/g, "");
}

// What the links of a formula say.
function linked(root) {
  const found = [];
  root.walkTree((node) => {
    if (!node.attributes || !node.attributes.getExplicit("href")) return;
    let text = "";
    node.walkTree((inner) => { if (inner.getText) text += inner.getText(); });
    found.push(text);
  });
  return found;
}

function svgOf(page, item) {
  const node = page.svg.typeset(item, page.doc);
  const links = linked(item.root);
  // what is hidden from screen readers must not be reached by keyboard: links are named instead
  if (links.length) adaptor.removeAttribute(adaptor.firstChild(node), "role");
  else adaptor.setAttribute(adaptor.firstChild(node), "aria-hidden", "true");
  for (const each of adaptor.tags(node, "a")) adaptor.setAttribute(each, "aria-label", links.shift() || "link");
  if (item.display) adaptor.setAttribute(node, "display", "true");
  adaptor.append(node, adaptor.node("mjx-assistive-mml", {}, [adaptor.text("\u0001")]));
  const text = adaptor.serializeXML(node).replace(/ data-(?:mml-node|c|mjx-texclass|variant)="[^"]*"/g, "");
  return text.replace(/<g>(<use [^>]*\/>)<\/g>/g, "$1").replace("\u0001", () => spoken(item.root));
}

function pass(formulas, known, failed) {
  const page = begin();
  const tags = page.tex.parseOptions.tags;
  if (known) {
    tags.allLabels = Object.create(known);
    page.tex.parseOptions.options.ignoreDuplicateLabels = true; // the first pass has refused them
  }
  const found = formulas.map((formula, number) => {
    if (failed[number]) return null;
    try {
      return compile(page, formula);
    } catch (error) {
      failed[number] = said(error);
      return null;
    }
  });
  return { page, found, labels: { ...tags.allLabels } };
}

// Formulas [source, display, skipped] of a page in their order. Gives [markup, error, open] of each: `open`
// whether it names a label that is nowhere; and the glyphs of all, to stand once in the page.
globalThis.typeset = (formulas) => {
  const failed = formulas.map((formula) => formula[2] || null);
  let done = pass(formulas, null, failed);
  if (done.found.some((each) => each && each.open)) done = pass(formulas, done.labels, failed);
  const items = done.found.map((each, number) => {
    if (!each) return ["", failed[number], false];
    try {
      return [svgOf(done.page, each.item), "", each.open];
    } catch (error) {
      return ["", said(error), false];
    }
  });
  return JSON.stringify({ items, glyphs: glyphs(done.page), labels: Object.keys(done.labels) });
};

function glyphs(page) {
  const cache = page.svg.fontCache.getCache();
  const paths = adaptor.serializeXML(cache).replace(/ data-c="[^"]*"/g, "");
  return `<svg id="MJX-SVG-global-cache" width="0" height="0" aria-hidden="true">${paths}</svg>`;
}
