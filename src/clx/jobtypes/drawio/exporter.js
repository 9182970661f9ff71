// Runs inside the draw.io application and draws one page at a time for exporter.py.
'use strict';

const clx = (() => {
  // render() of the application wraps these two at each call and never takes the wrapper off again: in a
  // page that lives on, the closures of earlier drawings would announce wrong bounds, or wait for ever.
  const pristine = { addFont: Graph.addFont, onMathJaxDone: Editor.onMathJaxDone };
  const ownHeadNodes = new Set();
  const local = /^(data:|#|$)/;
  let graph = null;
  let refused = new Set();
  let rejectDrawing = () => {};

  // The application reports a file it cannot read to the desktop shell only.
  window.electron = {
    sendMessage(name) {
      if (name === 'render-finished') rejectDrawing(new Error('the application cannot read it'));
    },
    registerMsgListener() {},
  };

  document.addEventListener('securitypolicyviolation', (event) => refused.add(event.blockedURI));

  const prepare = () => {
    if (ownHeadNodes.size === 0) for (const node of document.head.childNodes) ownHeadNodes.add(node);
    for (const node of [...document.head.childNodes]) {
      // MathJax keeps its style sheet and its script elements here; only fonts of diagrams go.
      if (!ownHeadNodes.has(node) && !/mjx|MJX/.test(node.id) && node.nodeName !== 'SCRIPT') node.remove();
    }
    Graph.addFont = pristine.addFont;
    Graph.customFontElements = {};
    Editor.onMathJaxDone = pristine.onMathJaxDone;
    document.fonts.clear();
    document.body.innerText = '';
    document.body.style.cssText = 'margin:0px;overflow:hidden;';
    refused = new Set();
  };

  const unknownShapes = () => {
    const unknown = new Set();
    for (const cell of Object.values(graph.getModel().cells)) {
      const shape = graph.getCellStyle(cell).shape;
      if (shape && shape !== 'rect' && !/^stencil\(/.test(shape) && !mxCellRenderer.defaultShapes[shape] &&
          !mxStencilRegistry.getStencil(shape)) unknown.add(shape);
    }
    return [...unknown].sort();
  };

  const address = (image) => image.getAttribute('xlink:href') || image.getAttribute('href') || image.getAttribute('src') || '';

  const isOwn = (url) => local.test(url) || new URL(url, location.href).origin === location.origin;

  // Everything the drawing asked for and that is neither in the file nor part of the application.
  const missing = () => {
    for (const image of document.querySelectorAll('image, img')) refused.add(address(image));
    return [...refused].filter((url) => { try { return !isOwn(url); } catch { return true; } }).sort();
  };

  // Where the page and what is behind it lie together, in units of the diagram.
  const allBounds = () => {
    const { translate, scale } = graph.view;
    const behind = graph.backgroundImage;
    const cells = graph.getGraphBounds();
    const all = new mxRectangle(cells.x / scale - translate.x, cells.y / scale - translate.y,
      cells.width / scale, cells.height / scale);
    if (behind) all.add(new mxRectangle(behind.x, behind.y, behind.width, behind.height));
    return all;
  };

  // The application looks at the cells alone: what is behind them, above or on the left, would lose the border or be cut.
  const withWhatIsBehind = ({ border, scale }) => {
    const all = allBounds();
    graph.view.setTranslate(Math.floor(border - Math.floor(all.x)), Math.floor(border - Math.floor(all.y)));
    const start = border * scale;
    const width = Math.ceil(all.width * scale + border) + 1;
    const height = Math.ceil(all.height * scale + border) + 1;
    const root = graph.view.getDrawPane().ownerSVGElement;
    Object.assign(root.style, { minWidth: `${start + width}px`, minHeight: `${start + height}px`, overflow: 'visible' });
    graph.container.style.overflow = 'visible';
    return { x: start, y: start, width, height };
  };

  const draw = (data) => new Promise((resolve, reject) => {
    prepare();
    rejectDrawing = reject;
    const done = new MutationObserver(() => {
      const mark = document.getElementById('LoadingComplete');
      if (!mark) return;
      done.disconnect();
      const bounds = graph.backgroundImage ? withWhatIsBehind(data) : JSON.parse(mark.getAttribute('bounds'));
      // The application adds the border once in pixels on the right and below, but scaled elsewhere.
      const rest = data.border * (data.scale - 1);
      resolve({
        width: Math.max(1, Math.ceil(bounds.x + bounds.width + rest)),
        height: Math.max(1, Math.ceil(bounds.y + bounds.height + rest)),
        unknownShapes: unknownShapes(),
        missing: missing(),
      });
    });
    done.observe(document.body, { childList: true });
    try {
      graph = render({ ...data, w: 0, h: 0, extras: '{}' });
    } catch (error) {
      done.disconnect();
      reject(error);
    }
  });

  const withoutRemote = (css) => css.replace(/@import[^;]*;?/gi, '')
    .replace(/url\(\s*(?!["']?\s*(?:data:|#))[^)]*\)/gi, 'none');

  // A picture is shown on pages of other people: nothing in it may run, or fetch anything. Links stay.
  const disarm = (svg) => {
    for (const node of [...svg.querySelectorAll('*')]) {
      const kind = node.localName.toLowerCase();
      if (/^(script|iframe|object|embed|link|meta|base|form|video|audio|source|track)$/.test(kind)) {
        node.remove();
        continue;
      }
      for (const { name, value } of [...node.attributes]) {
        const remote = /^(href|src|srcset|poster|background)$/i.test(name.replace('xlink:', '')) && !local.test(value);
        const isLink = kind === 'a' && /^\s*(https?|mailto):/i.test(value);
        if (/^on/i.test(name) || (remote && !isLink)) node.removeAttribute(name);
        else if (/url\(/i.test(value)) node.setAttribute(name, withoutRemote(value));
      }
      if (kind === 'style') node.textContent = withoutRemote(node.textContent);
    }
  };

  // MathJax numbers glyphs on through the life of the page; a picture must not tell what was drawn before.
  const renumbered = (text) => {
    const numbers = new Map();
    return text.replace(/(id="|href="#)MJX-(\d+)-/g, (_, before, number) => {
      if (!numbers.has(number)) numbers.set(number, numbers.size + 1);
      return `${before}MJX-${numbers.get(number)}-`;
    });
  };

  const svg = (border, background) => new Promise((resolve, reject) => {
    try {
      graph.mathEnabled = document.querySelector('mjx-container') !== null;
      // 'diagram': what stands behind the page counts as a part of it.
      const root = graph.getSvg(background, 1, border, false, null, true, null, null, null, null, null, null, 'diagram');
      if (graph.shadowVisible) graph.addSvgShadow(root);
      if (graph.mathEnabled) Editor.prototype.addMathCss(root);
      new Editor().convertImages(root, () => {
        disarm(root);
        resolve('<?xml version="1.0" encoding="UTF-8"?>\n' + renumbered(mxUtils.getXml(root)) + '\n');
      });
    } catch (error) {
      reject(error);
    }
  });

  // What was drawn, as the picture behind another page, in the place that it has on its own page.
  const backdrop = () => new Promise((resolve, reject) => {
    const all = allBounds();
    svg(0, null).then((text) => resolve({
      src: 'data:image/svg+xml;base64,' + btoa(unescape(encodeURIComponent(text))),
      x: Math.floor(all.x),
      y: Math.floor(all.y),
      width: Math.max(1, Math.ceil(all.width)),
      height: Math.max(1, Math.ceil(all.height)),
    }), reject);
  });

  return { backdrop, draw, svg };
})();
