#!/bin/sh
# Makes the component. The contract is in `wit/`, a copy of `plugins/wit/v1`, or where WHERRY_WIT says.
set -eu
mkdir -p dist
"${COMPONENTIZE_PY:-componentize-py}" -d "${WHERRY_WIT:-wit}" -w connector componentize --stub-wasi -p . app -o dist/connector.wasm
