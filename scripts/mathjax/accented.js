// MathJax's font has letters and accents, but not the letters with accents that words of most languages have.
const ACCENTS = [0x300, 0x301, 0x302, 0x303, 0x304, 0x306, 0x307, 0x308, 0x30a, 0x30c];
export const FIRST_ACCENTED = 0xc0;
export const LAST_ACCENTED = 0x17e;
const VARIANTS = ["normal", "bold", "italic", "bold-italic", "sans-serif", "bold-sans-serif", "monospace"];

function known(font, variant, code) {
  const found = font.getChar(variant, code);
  return found && found[3] && "p" in found[3] ? found : null;
}

// The path moved by whole units; paths of the font have absolute coordinates only.
function moved(path, dx, dy) {
  return path.replace(/([MLQTHVZ])([^MLQTHVZ]*)/g, (_all, command, rest) => {
    const numbers = (rest.match(/-?\d*\.?\d+/g) || []).map(Number);
    const shifted = numbers.map((value, index) => {
      if (command === "H") return value + dx;
      if (command === "V") return value + dy;
      return value + (index % 2 ? dy : dx);
    });
    return command + shifted.join(" ");
  });
}

function accented(font, variant, letter, accent) {
  const base = known(font, variant, letter);
  const above = known(font, variant, accent);
  if (!base || !above) return null;
  const [height, depth, width, more] = base;
  const raised = Math.round(1000 * Math.max(0, height - 0.45) * (letter < 0x61 ? 1 : 0));
  const xs = coordinates(above[3].p);
  const dx = Math.round((width * 1000 - (xs.min + xs.max)) / 2 + (more.ik || 0) * 500);
  const path = more.p + "Z" + "M" + moved("M" + above[3].p, dx, raised).slice(1);
  return [Math.max(height, above[0] + raised / 1000), depth, width, { ...more, p: path }];
}

function coordinates(path) {
  const xs = [];
  moved("M" + path, 0, 0).replace(/([MLQTH])([^MLQTHVZ]*)/g, (_all, command, rest) => {
    const numbers = (rest.match(/-?\d*\.?\d+/g) || []).map(Number);
    numbers.forEach((value, index) => (command === "H" || index % 2 === 0) && xs.push(value));
  });
  return { min: Math.min(...xs), max: Math.max(...xs) };
}

export function addAccented(font) {
  for (const variant of VARIANTS) {
    const chars = {};
    for (let code = FIRST_ACCENTED; code <= LAST_ACCENTED; code++) {
      const parts = [...String.fromCodePoint(code).normalize("NFD")].map((each) => each.codePointAt(0));
      if (parts.length !== 2 || !ACCENTS.includes(parts[1])) continue;
      const letter = accented(font, variant, parts[0] === 0x69 ? 0x131 : parts[0], parts[1]);
      if (letter) chars[code] = letter;
    }
    font.defineChars(variant, chars);
  }
}
