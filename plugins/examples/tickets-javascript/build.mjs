// Makes the component. The contract is in `wit/`, a copy of `plugins/wit/v1`, or where WHERRY_WIT says.
import { componentize } from "@bytecodealliance/componentize-js";
import { mkdir, writeFile } from "node:fs/promises";

const { component } = await componentize({
  sourcePath: "connector.js",
  witPath: process.env.WHERRY_WIT ?? "wit",
  worldName: "connector",
  // What the box does not have anyway.
  disableFeatures: ["stdio"],
});
await mkdir("dist", { recursive: true });
await writeFile("dist/connector.wasm", component);
