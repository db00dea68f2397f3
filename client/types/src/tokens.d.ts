/** Where the tokens of a client come from, and what the server said of the last ones. */
export declare class Tokens {
    #private;
    /** @param {import("./types.js").ConnectOptions["token"]} source */
    constructor(source: import("./types.js").ConnectOptions["token"]);
    /** Whether asking again may give another one. */
    get renewable(): boolean;
    /** @returns {Promise<string | undefined>} */
    next(): Promise<string | undefined>;
    /** @param {string | undefined} token */
    show(token: string | undefined): void;
    /** @param {string | undefined} token */
    isShown(token: string | undefined): boolean;
    accepted(): void;
    /**
     * The server did not accept what it was shown.
     * @param {string} code `unauthorized` or `token_expired`
     * @returns {boolean} whether there is no use in going on. A token function gets another chance as long as it returns what was
     *   refused already, from a cache for example, or what has expired: only another token that is refused ends it
     */
    refused(code: string): boolean;
}
