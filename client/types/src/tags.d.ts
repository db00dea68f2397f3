/** @typedef {import("./op.js").Op} Op */
export type Op = import("./op.js").Op;
/** By what a client recognizes the events of its own ops: those that have no answer yet, and the latest that have. */
export declare class Tags {
    #private;
    /** @param {Op} op */
    add(op: Op): void;
    /**
     * @param {Op} op
     * @param {boolean} happened a refused op makes no event
     */
    settled(op: Op, happened: boolean): void;
    /** The op without an answer that has this tag. @param {string} tag */
    pending(tag: string): import("./op.js").Op | undefined;
    /** Whether an op of this client has this tag. @param {string} tag */
    own(tag: string): boolean;
}
