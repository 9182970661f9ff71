#!/bin/sh
# Makes src/clx/jobtypes/notebook/assets/mathjax/mathjax.js.xz anew: npm's pinned versions, one file, the same bytes.
set -eu
cd "$(dirname "$0")"
target=../../src/clx/jobtypes/notebook/assets/mathjax
npm ci --silent --ignore-scripts
node node_modules/esbuild/install.js
node_modules/.bin/esbuild entry.js --bundle --minify --format=iife --target=es2022 --legal-comments=none \
  --log-level=warning --outfile=mathjax.js
xz --format=xz --check=crc64 -9e --threads=1 --stdout mathjax.js > "$target/mathjax.js.xz"
cp node_modules/mathjax-full/LICENSE "$target/mathjax.LICENSE"
rm mathjax.js
