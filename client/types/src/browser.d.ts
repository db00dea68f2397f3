/**
 * Ties a client to the page it lives in. In Node there is no page, and nothing happens.
 * @param {{wake: () => void, offline: () => void, save: () => void, unsave: () => void}} hooks
 * @returns {() => void} unties it
 */
export declare function followPage({ wake, offline, save, unsave }: {
    wake: () => void;
    offline: () => void;
    save: () => void;
    unsave: () => void;
}): () => void;
