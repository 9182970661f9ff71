#!/bin/sh
# Makes src/clx/jobtypes/notebook/assets/mathjax/mathjax.js anew: npm's pinned versions, one file, the same bytes.
# From MathJax's TypeScript: its JavaScript is of a time without classes and takes twice as long to start. It is packed by
# whoever ships it (wheels, Git), not here: to unpack it would take as long as to run it.
set -eu
cd "$(dirname "$0")"
target=../../src/clx/jobtypes/notebook/assets/mathjax
npm ci --silent --ignore-scripts
node node_modules/esbuild/install.js
node_modules/.bin/esbuild entry.js --bundle --minify --format=iife --target=es2022 --legal-comments=none \
  --tsconfig-raw='{"compilerOptions":{"useDefineForClassFields":false}}' --log-level=warning --outfile="$target/mathjax.js"
cp node_modules/mathjax-full/LICENSE "$target/mathjax.LICENSE"
