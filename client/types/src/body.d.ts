/** What is sent within `connect` lies deeper. */
export declare const MAX_META_DEPTH = 60;
/**
 * A copy of what an app wants to send, as JSON. What the server would refuse is refused here: a message that it cannot read
 * is one that it cannot answer.
 * @param {any} body
 * @param {number} [maxDepth]
 * @returns {any} the copy, or a `GreenroomError` that says what is wrong
 */
export declare function jsonBody(body: any, maxDepth?: number): any;
/** @param {string} text */
export declare const byteLength: (text: string) => number;
