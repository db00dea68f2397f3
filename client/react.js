// For tools that do not know `exports`.
export * from "./src/react.js";
