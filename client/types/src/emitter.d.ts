/**
 * Named events with typed payloads.
 * @template {Record<string, any>} Events
 */
export declare class Emitter<Events extends Record<string, any>> {
    #private;
    /**
     * Calls `listener` at each `name`; the returned function ends that.
     * @template {keyof Events} Name
     * @param {Name} name
     * @param {(payload: Events[Name]) => void} listener
     * @returns {() => void}
     */
    on<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): () => void;
    /**
     * @template {keyof Events} Name
     * @param {Name} name
     * @param {(payload: Events[Name]) => void} listener
     */
    off<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): void;
    /**
     * @template {keyof Events} Name
     * @param {Name} name
     * @param {(payload: Events[Name]) => void} listener
     * @returns {() => void}
     */
    once<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): () => void;
    /** @param {keyof Events} name */
    hasListeners(name: keyof Events): boolean;
    /**
     * For the SDK itself. A listener that throws is reported as an uncaught error and stops neither the others nor the SDK.
     * @template {keyof Events} Name
     * @param {Name} name
     * @param {Events[Name]} payload
     */
    emit<Name extends keyof Events>(name: Name, payload: Events[Name]): void;
}
