// Draws one diagram, always on the same day and by the same chance. The page is loaded anew for each.
const clx = (() => {
  const font = "Arial, Helvetica, 'Liberation Sans', sans-serif"; // of one width wherever one of them is
  const themes = { light: "default", dark: "dark" }, grounds = { light: "#ffffff", dark: "#12151b" };
  const css = ".edgeLabel rect, .edgeLabel .labelBkg, .edgeLabel p { opacity: 1 }"; // else lines show through words on them
  let state = 1;
  const next = () => { // Park and Miller's generator
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
  Math.random = next;
  crypto.getRandomValues = array => {
    for (let i = 0; i < array.length; i++) array[i] = Math.floor(next() * 256);
    return array;
  };
  crypto.randomUUID = () => "00000000-0000-4000-8000-" + String(Math.floor(next() * 1e12)).padStart(12, "0");
  const Real = Date, day = Real.UTC(2000, 0, 1);
  globalThis.Date = class extends Real {
    constructor(...given) { super(...(given.length ? given : [day])); }
    static now() { return day; }
  };

  async function draw(source, modes) {
    const pictures = [];
    for (const mode of modes) {
      const found = await picture(source, mode);
      if (found.problem) return found;
      pictures.push(found);
    }
    return { pictures };
  }

  // Hundredths of a pixel are enough, and what scripts look for is of no use in a picture.
  function lighten(svg) {
    for (const each of svg.querySelectorAll("*")) {
      for (const { name, value } of [...each.attributes]) {
        if (name.startsWith("data-")) each.removeAttribute(name);
        else if (/^(d|points|transform|x|y|x1|x2|y1|y2|cx|cy|width|height)$/.test(name)) {
          each.setAttribute(name, value.replace(/-?\d+\.\d{3,}(?![\de])/g, number => String(+(+number).toFixed(2))));
        }
      }
    }
    const used = new Set([...svg.outerHTML.matchAll(/url\((?:&quot;|["'])?#([^)"'&]+)/g)].map(found => found[1]));
    for (const each of svg.querySelectorAll("marker")) if (!used.has(each.id)) each.remove();
  }

  async function picture(source, mode) {
    state = 1;
    const html = source.includes("$$") || /^\s*mindmap\b/m.test(source); // formulas, and text in the middle of circles
    mermaid.initialize({
      startOnLoad: false, securityLevel: "strict", suppressErrorRendering: true, deterministicIds: true, deterministicIDSeed: "clx",
      theme: themes[mode], themeVariables: { fontFamily: font, fontSize: "15px", edgeLabelBackground: grounds[mode] }, themeCSS: css, fontFamily: font,
      htmlLabels: html, flowchart: { htmlLabels: html }, class: { htmlLabels: html }, handDrawnSeed: 1,
    });
    let text;
    try {
      text = (await mermaid.render("diagram", source)).svg;
    } catch (error) {
      document.body.replaceChildren();
      return { problem: String((error && error.message) || error) };
    }
    const holder = document.createElement("div");
    holder.innerHTML = text;
    const svg = holder.querySelector("svg"), box = svg.viewBox.baseVal;
    const size = { width: Math.ceil(box.width), height: Math.ceil(box.height) };
    for (const [name, value] of Object.entries(size)) svg.setAttribute(name, value);
    svg.style.removeProperty("max-width");
    lighten(svg);
    const told = svg.querySelector(":scope > title, :scope > desc");
    const words = [...svg.querySelectorAll("text, foreignObject")].map(each => each.textContent.trim()).filter(Boolean);
    document.body.replaceChildren();
    return { svg: new XMLSerializer().serializeToString(svg), ...size, words: told ? told.textContent.trim() : [...new Set(words)].join(", ") };
  }
  return { draw };
})();
