/** @type {import("./types.js").Clock} */
export declare const systemClock: import("./types.js").Clock;
